import { afterEach, beforeEach, expect, vi } from 'vitest'
import type { Socket, SocketOptions } from '../../src/index.ts'
import { fresh as freshSocket, setup as setupSocket } from '../support/setup.ts'

/** As for sockets alone; and a promise that rejects unheard fails the test. */
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

/** A socket over fakes that knows how many listen to it. */
export const setup = (options: SocketOptions = {}) => {
  const listening = new Set<object>()
  const rig = setupSocket({ wake: false, ...options })
  const on: Socket['on'] = (type, listener, how) => {
    const entry = {}
    const off = rig.socket.on(type, listener, how)
    if (!how?.signal?.aborted) listening.add(entry)
    how?.signal?.addEventListener('abort', () => listening.delete(entry))
    return off
  }
  const socket = new Proxy(rig.socket, {
    get: (target, name) => (name === 'on' ? on : target[name as keyof Socket]),
  })
  return { ...rig, socket, listeners: () => listening.size }
}

/** What has become of a promise. */
export const follow = (promise: Promise<unknown>) => {
  const fate: { is: 'pending' | 'kept' | 'broken'; value?: any } = { is: 'pending' }
  promise.then(
    value => Object.assign(fate, { is: 'kept', value }),
    value => Object.assign(fate, { is: 'broken', value }),
  )
  return fate
}

export const collect = async <T>(source: AsyncIterable<T>, into: T[] = []) => {
  for await (const item of source) into.push(item)
  return into
}

/** A signal of which it is known whether anybody listens to it. */
export const watchedSignal = () => {
  const controller = new AbortController()
  const { signal } = controller
  const added = vi.spyOn(signal, 'addEventListener')
  const removed = vi.spyOn(signal, 'removeEventListener')
  return { controller, signal, listening: () => added.mock.calls.length - removed.mock.calls.length }
}
