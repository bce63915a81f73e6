import { expect, test } from 'vitest'
import { measure, sizeOf } from './sizes.mjs'

/** What each may take at most, in bytes. These limits may only be lowered. */
const LIMITS: Record<string, number> = {
  steadysocket: 6_020,
  'steadysocket/core, bare': 3_810,
  'bare, with heartbeat and pageEvents': 4_570,
  'steadysocket/websocket': 1_500,
  'steadysocket/json': 600,
  'steadysocket/stream': 1_030,
  'steadysocket/reliable': 2_820,
}

const sizes: Record<string, number> = await measure()

test.each(Object.entries(LIMITS))('%s takes at most %i bytes in a bundle', (name, limit) => {
  expect(sizes[name]).toBeLessThanOrEqual(limit)
})

test('a bundle that imports only webSocketOver() does not contain the core', async () => {
  const size = await sizeOf(
    "import { webSocketOver } from 'steadysocket/websocket'; console.log(webSocketOver)",
  )
  expect(size).toBeLessThanOrEqual(1_750)
})
