import { afterEach, beforeEach, expect, vi } from 'vitest'
import type { Socket, SocketOptions } from '../../src/index.ts'
import { fresh as freshSocket, setup as setupSocket } from '../support/setup.ts'

/** A fake clock and a fake server for each test, which also fails if a promise is rejected without a handler. */
export const fresh = (): void => {
  const rejections: unknown[] = []
  const note = (error: unknown) => rejections.push(error)
  freshSocket()
  beforeEach(() => {
    process.on('unhandledRejection', note)
  })
  afterEach(() => {
    process.off('unhandledRejection', note)
    expect(rejections.splice(0)).toEqual([])
  })
}

/** A socket over a fake server, and the number of its listeners. */
export const watchedSocket = (options: SocketOptions = {}) => {
  const listening = new Set<object>()
  const made = setupSocket({ wake: false, ...options })
  const on: Socket['on'] = (type, listener, how) => {
    const entry = {}
    const off = made.socket.on(type, listener, how)
    if (!how?.signal?.aborted) listening.add(entry)
    how?.signal?.addEventListener('abort', () => listening.delete(entry))
    return off
  }
  const socket = new Proxy(made.socket, {
    get: (target, name) => (name === 'on' ? on : target[name as keyof Socket]),
  })
  return { ...made, socket, listeners: () => listening.size }
}

/** The state of a promise, and its value or reason. */
export const outcomeOf = (promise: Promise<unknown>) => {
  const outcome: { is: 'pending' | 'fulfilled' | 'rejected'; value?: any } = { is: 'pending' }
  promise.then(
    value => Object.assign(outcome, { is: 'fulfilled', value }),
    value => Object.assign(outcome, { is: 'rejected', value }),
  )
  return outcome
}

export const collect = async <T>(source: AsyncIterable<T>, into: T[] = []) => {
  for await (const item of source) into.push(item)
  return into
}

/** A signal, and the number of its listeners. */
export const watchedSignal = () => {
  const controller = new AbortController()
  const { signal } = controller
  const added = vi.spyOn(signal, 'addEventListener')
  const removed = vi.spyOn(signal, 'removeEventListener')
  return { controller, signal, listening: () => added.mock.calls.length - removed.mock.calls.length }
}
