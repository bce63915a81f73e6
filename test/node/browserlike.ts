import type { Socket } from 'node:net'
import { WebSocket } from 'ws'

/** Internals of Node's streams that show how many bytes have not been handed to the operating system. */
interface StreamInternals {
  readonly _writableState: { readonly length: number; readonly writelen: number; readonly writing: boolean }
  readonly _handle: { readonly writeQueueSize: number } | null
}

const unsentBytes = (socket: Socket): number => {
  const { _writableState: state, _handle: handle } = socket as unknown as StreamInternals
  return state.length - (state.writing ? state.writelen : 0) + (handle?.writeQueueSize ?? 0)
}

/**
 * The class of `ws` with a `bufferedAmount` that follows the standard. In `ws`, it is 0 before the close event, whether or not everything was
 * sent; in browsers, it keeps counting the bytes that were not sent. Here it counts exactly the bytes that the operating system had not accepted
 * when the connection ended.
 */
// https://websockets.spec.whatwg.org/#dom-websocket-bufferedamount
export class BrowserlikeWebSocket extends WebSocket {
  constructor(url: string, protocols?: string[]) {
    super(url, protocols)
    let amount = () => 0
    this.once('upgrade', ({ socket }) => {
      amount = () => unsentBytes(socket)
      const destroy = socket._destroy
      socket._destroy = (...args) => {
        const unsent = unsentBytes(socket)
        amount = () => unsent
        destroy.apply(socket, args)
      }
    })
    Object.defineProperty(this, 'bufferedAmount', { get: () => amount() })
  }
}
