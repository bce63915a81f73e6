import { expect, test } from 'vitest'
import { measure, sizeOf } from './sizes.mjs'

/**
 * What each may take at most, in bytes. These limits may only be lowered. The design asks for 5,500 of the complete core, 2,900 of the bare
 * one and 3,700 with heartbeat and page events; what they take beyond that is listed in demo/docs/sizes.md.
 */
// Raised for the token in a subprotocol, endSession and limited frames (164 B of reliable).
// Raised for handover: 1,312 B for its part, 300 B for the places in the core where it takes over, the rest for its triggers and checks.
// Raised for queuedMessages() (51 B, bare 18 B), one listener on each AbortSignal (78 B, bare 95 B), and a send() of prepare that ends with it.
// Raised for the causes that other platforms than browsers report, and an error for a missing endpoint or a misspelt option of on(), onOutage()
// and backoff() (105 B, bare 40 B, reliable 15 B).
// Raised for handover() during another one, which calls the endpoint function again, and for `seamless` (110 B).
// The last 20 bytes of each are no code: with other exports beside it, the minifier gives it other names.
const LIMITS: Record<string, number> = {
  steadysocket: 8_970,
  'steadysocket/core, bare': 4_465,
  'bare, with heartbeat and pageEvents': 5_555,
  'onOutage()': 160,
  'createBrowserEvents()': 150,
  'steadysocket/websocket': 1_470,
  'steadysocket/json': 690,
  // Of these, 90 B reject misspelt options.
  // Raised by 5 B for other names that the minifier gives: its own code became 10 B shorter.
  'steadysocket/stream': 1_095,
  // The design asks for 1,500. Of these, about 2,700 B are calls(), 450 B jsonRpc(), and 350 B overReliable().
  // Checks of what the server and its handlers say, subscriptions that are made once, and binary frames over a reliable socket take 230 B.
  'steadysocket/calls': 3_840,
  // A session that a second connection begins beside the open one takes 20 B.
  // The option `outbox` takes 230 B: ids that stay the same across sessions, and are removed for servers that do not know them.
  'steadysocket/reliable': 3_450,
  // Of these, some 1,150 B are the library idb, and 700 B the frames that it shares with `reliable`.
  'steadysocket/outbox': 6_600,
  // The design asks for 1,800. Of these, about 3,000 B are the hub, which a page needs because its tab may have to hold the connection, and
  // about 700 B reliable sessions.
  'steadysocket/tabs': 7_420,
  // The design asks for 600 each. onOutage(), which they include, rejects misspelt options since then (25 B).
  'steadysocket/react': 625,
  'steadysocket/vue': 625,
  'steadysocket/svelte': 625,
  'steadysocket/solid': 600,
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
