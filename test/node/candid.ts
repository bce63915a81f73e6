import type { Socket } from 'node:net'
import { WebSocket } from 'ws'

/** The parts of Node's streams that say how much has not been handed to the operating system. */
interface Inside {
  readonly _writableState: { readonly length: number; readonly writelen: number; readonly writing: boolean }
  readonly _handle: { readonly writeQueueSize: number } | null
}

const waiting = (socket: Socket): number => {
  const { _writableState: state, _handle: handle } = socket as unknown as Inside
  return state.length - (state.writing ? state.writelen : 0) + (handle?.writeQueueSize ?? 0)
}

/**
 * The class of `ws`, with the `bufferedAmount` that the standard asks for. In Node the amount falls to 0 before the close
 * event, which proves nothing about what was sent; browsers go on saying what had not left. Here: what the operating
 * system had not taken when the connection ended, to the byte.
 */
// https://websockets.spec.whatwg.org/#dom-websocket-bufferedamount
export class CandidWebSocket extends WebSocket {
  constructor(url: string, protocols?: string[]) {
    super(url, protocols)
    let amount = () => 0
    this.once('upgrade', ({ socket }) => {
      amount = () => waiting(socket)
      const destroy = socket._destroy
      socket._destroy = (...how) => {
        const unsent = waiting(socket)
        amount = () => unsent
        destroy.apply(socket, how)
      }
    })
    Object.defineProperty(this, 'bufferedAmount', { get: () => amount() })
  }
}
