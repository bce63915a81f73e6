// The status of a node: health and metrics.
import type { Host } from './host.js'
import type { Sample } from './metrics.js'
import type { StoreNode } from './store.js'
import { within } from './upkeep.js'

/** The numbers of unacknowledged messages, queued requests and buffered bytes. */
export interface Load {
  readonly unacknowledged: number
  readonly waiting: number
  readonly buffered: number
}

/** The part of the server that is described. */
export interface StatusServer {
  readonly stats: Host['stats']
  readonly sessions: ReadonlyMap<string, { readonly load: Load }>
  readonly draining: string | undefined
  readonly closing: string | undefined
  openStore(): Promise<StoreNode>
}

/** How long a health check waits for the store. */
const STORE_TIMEOUT = 1_000

/** Whether clients can be sent to this node. */
export const isReady = async (server: StatusServer): Promise<boolean> => {
  let answers = false
  const ask = async () => {
    try {
      // Any query serves this purpose.
      await (await server.openStore()).progress('')
      answers = true
    } catch {}
  }
  await within(STORE_TIMEOUT, [ask()])
  return answers && !server.draining && !server.closing
}

/** Values that are read on demand. */
export const samplesOf = ({ stats, sessions, draining, closing }: StatusServer): Sample[] => {
  let unacknowledged = 0
  let waiting = 0
  let buffered = 0
  let largest = 0
  for (const { load } of sessions.values()) {
    unacknowledged += load.unacknowledged
    waiting += load.waiting
    buffered += load.buffered
    largest = Math.max(largest, load.unacknowledged)
  }
  const gauge = (name: string, value: number, help: string): Sample => ({ name, type: 'gauge', help, value })
  const counter = (name: string, value: number, help: string): Sample => ({
    name,
    type: 'counter',
    help,
    value,
  })
  return [
    gauge('connections', stats.connections, 'Connections of sessions that are open now.'),
    gauge('requests_waiting', waiting, 'Requests of clients that wait or are being processed.'),
    gauge('unacknowledged', unacknowledged, 'Messages that were written and not acknowledged.'),
    gauge('unacknowledged_max', largest, 'The largest number of unacknowledged messages of one session.'),
    gauge('buffered_bytes', buffered, 'Bytes that wait for the network.'),
    gauge('draining', draining || closing ? 1 : 0, 'Whether this node is draining or closing.'),
    counter('created_total', stats.created, 'Sessions begun.'),
    counter('resumed_total', stats.resumed, 'Sessions resumed.'),
    counter('sent_total', stats.sent, 'Messages written, repetitions included.'),
  ]
}
