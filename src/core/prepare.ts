import { checkData } from './data.js'
import type { PreparedConnection } from './types.js'

/** The part that runs the option `prepare`. Resolves with the messages that it left unread. */
export type PrepareConnection = (
  prepare: (connection: PreparedConnection<any>) => unknown,
  native: WebSocket,
  signal: AbortSignal,
) => Promise<MessageEvent[]>

/** The part for the option `prepare`: runs a function on every new connection before it is open. */
export const prepare: PrepareConnection = async (prepareWith, native, signal) => {
  const unread: MessageEvent[] = []
  let isOver = false
  const readers: [resolve: (data: any) => void, reject: (reason: unknown) => void][] = []
  native.onmessage = event => {
    const reader = readers.shift()
    if (reader) reader[0](event.data)
    else unread.push(event)
  }
  signal.addEventListener('abort', () => {
    for (const [, reject] of readers) reject(signal.reason)
  })
  await prepareWith({
    send(data) {
      checkData(data)
      // Beside the queue, it would be mistaken for a part of the queue's messages.
      if (isOver || signal.aborted) throw new TypeError('prepare() is over: use socket.send()')
      native.send(data as ArrayBuffer)
    },
    receive: () =>
      new Promise((...reader) => {
        const event = unread.shift()
        if (signal.aborted) reader[1](signal.reason)
        else if (event) reader[0](event.data)
        else readers.push(reader)
      }),
    url: native.url,
    protocol: native.protocol,
    signal,
  })
  // Whatever still waits in `receive()` gets nothing: what comes from now on is for the listeners.
  readers.length = 0
  isOver = true
  return unread
}
