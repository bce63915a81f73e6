import { vi } from 'vitest'
import {
  type CallError,
  type CallProtocol,
  type Calls,
  type CallsOptions,
  calls,
  jsonRpc,
} from '../../src/calls.ts'
import type { SocketOptions } from '../../src/index.ts'
import type { FakePeer } from '../../src/testing.ts'
import { sent, settled, setup } from '../support/setup.ts'

/** Like `calls()`, with 1 as the first id instead of a random number. */
export const callsFromOne: typeof calls = (...args: [any, CallProtocol, CallsOptions?]): any => {
  const { random } = Math
  Math.random = () => {
    Math.random = random
    return 0
  }
  return calls(...args)
}

/** Calls over a socket to a fake server, and what its events report. */
export const setupCalls = (
  options: CallsOptions<any> = {},
  socketOptions: SocketOptions = {},
  protocol: CallProtocol = jsonRpc(),
) => {
  let made = {} as ReturnType<typeof setup>
  const api: Calls<any> = callsFromOne(
    prepare => {
      made = setup({ prepare, wake: false, ...socketOptions })
      return made.socket
    },
    protocol,
    options,
  )
  const errors: CallError[] = []
  api.on('error', error => errors.push(error))
  /** Lets the next handshake succeed, after the wait before it. */
  const open = async (): Promise<FakePeer> => {
    const { socket, native } = made
    while (socket.state.name === 'waiting') await passTo(socket.state.until)
    native().accept()
    await settled()
    return native()
  }
  return { ...made, api, errors, open }
}

const passTo = async (time: number) => {
  await vi.advanceTimersByTimeAsync(Math.max(1, time - Date.now()))
}

/** The frames that the page has sent through this connection, whether or not they have left. */
export const frames = (peer: FakePeer): any[] => sent(peer).map(text => JSON.parse(text as string))

/** The names of the calls among them. */
export const methods = (peer: FakePeer): string[] => frames(peer).map(({ method }) => method)

/** Answers the newest frame of this method. */
export const answer = (
  peer: FakePeer,
  method: string,
  outcome: { result?: unknown; error?: unknown },
): void => {
  const frame = frames(peer).findLast(frame => frame.method === method)
  peer.send(JSON.stringify({ jsonrpc: '2.0', id: frame.id, ...outcome }))
}

/** Sends an item of a subscription. */
export const push = (peer: FakePeer, key: unknown, item: unknown): void => {
  const params = { subscription: key, result: item }
  peer.send(JSON.stringify({ jsonrpc: '2.0', method: 'subscription', params }))
}

/** The code of the error that a promise is rejected with, or its result. */
export const outcomeOf = (promise: Promise<unknown>): { now: () => unknown; error: () => CallError } => {
  let outcome: unknown = 'pending'
  let reason: any
  promise.then(
    result => {
      outcome = result
    },
    error => {
      reason = error
      outcome = error.code ?? error
    },
  )
  return { now: () => outcome, error: () => reason }
}
