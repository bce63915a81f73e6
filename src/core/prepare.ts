import { checkData } from '../common/data.js'
import type { PreparedConnection } from './types.js'

/** Runs the option `prepare`. Resolves with the messages that it has not received. */
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
      // Bytes that bypass the queue would be counted as bytes of the queue's messages.
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
  // Pending calls of `receive()` get nothing: messages from now on are for the listeners.
  readers.length = 0
  isOver = true
  return unread
}
