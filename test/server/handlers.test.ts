import { describe, expect, test } from 'vitest'
import { ack, event, startFake } from './start.ts'

describe('a handler', () => {
  test('cannot have its failure taken for a message that was processed before', async () => {
    const { wss, server, errors } = startFake({
      onMessage: () => {
        throw Object.assign(new Error('such an order exists'), { name: 'Duplicate' })
      },
    })
    const client = await wss.connect()
    client.say(event('x', 1))
    expect(await ack(client, 1)).toMatchObject({ success: false, error: { name: 'Error' } })
    expect(server.stats).toMatchObject({ failed: 1, duplicates: 0 })
    expect(errors).toHaveLength(1)
  })
})
