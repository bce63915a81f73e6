import { beforeEach, describe, expect, test, vi } from 'vitest'
import { createCollector } from '../../src/frameworks/messages.ts'
import { createEmitter, createSocket } from '../../src/index.ts'
import { json } from '../../src/json.ts'
import type { FakeServer } from '../../src/testing.ts'
import { fakeNetwork } from '../support/network.ts'

let server: FakeServer
let frames: (() => void)[]
beforeEach(() => {
  server = fakeNetwork()
  frames = []
  vi.stubGlobal('requestAnimationFrame', (job: () => void) => frames.push(job))
})

const nextFrame = () => {
  for (const job of frames.splice(0)) job()
}

/** A source of messages, as `json()` is one. */
const createSource = () => createEmitter<{ message: any }>(['message']) as any

describe('a collector of messages', () => {
  test('changes once a frame, whatever the number of messages', () => {
    const source = createSource()
    const changed = vi.fn()
    const [listen, get] = createCollector(3, undefined)(source)
    listen(changed)
    for (let n = 0; n < 10_000; n++) source.emit('message', n)
    expect([get(), changed.mock.calls.length]).toEqual([[], 0])
    nextFrame()
    expect([get(), changed.mock.calls.length]).toEqual([[9_997, 9_998, 9_999], 1])
    nextFrame()
    vi.advanceTimersByTime(60_000)
    expect(changed).toHaveBeenCalledTimes(1)
  })

  test('asks for one frame, however many messages a reducer ignores', () => {
    const source = createSource()
    createCollector(total => total, 0)(source)[0](() => {})
    for (let n = 0; n < 100; n++) source.emit('message', n)
    expect(frames.length).toBe(1)
    nextFrame()
    source.emit('message', 0)
    expect(frames.length).toBe(1)
    nextFrame()
  })

  test('sets no timer and asks for no frame without a message', () => {
    createCollector(3, undefined)(createSource())[0](() => {})
    expect([frames.length, vi.getTimerCount()]).toEqual([0, 0])
  })

  test('changes in the same task as all others, with one timer', () => {
    const source = createSource()
    const changed = vi.fn()
    for (let i = 0; i < 5; i++) createCollector(3, undefined)(source)[0](changed)
    source.emit('message', 1)
    expect(vi.getTimerCount()).toBe(1)
    frames[0]?.()
    expect(changed).toHaveBeenCalledTimes(5)
    nextFrame()
    expect(changed).toHaveBeenCalledTimes(5)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('works in the next test after one that has ended before its frame', () => {
    const source = createSource()
    createCollector(3, undefined)(source)[0](() => {})
    source.emit('message', 1)
    frames = []
    vi.clearAllTimers()
    const changed = vi.fn()
    createCollector(3, undefined)(source)[0](changed)
    source.emit('message', 1)
    nextFrame()
    expect(changed).toHaveBeenCalledTimes(1)
  })

  test('does not change a list that was shown', () => {
    const source = createSource()
    const [listen, get] = createCollector(2, undefined)(source)
    listen(() => {})
    const shown = [get()]
    for (let n = 1; n <= 5; n++) {
      source.emit('message', n)
      nextFrame()
      shown.push(get())
    }
    source.emit('message', 6)
    expect(shown).toEqual([[], [1], [1, 2], [2, 3], [3, 4], [4, 5]])
  })

  test('keeps falsy messages too', () => {
    const source = createSource()
    const [listen, get] = createCollector(10, undefined)(source)
    listen(() => {})
    for (const message of [0, '', null, undefined, false]) source.emit('message', message)
    nextFrame()
    expect(get()).toEqual([0, '', null, undefined, false])
  })

  test('keeps all messages with the limit Infinity, in little time', () => {
    const source = createSource()
    const [listen, get] = createCollector(Infinity, undefined)(source)
    listen(() => {})
    for (let n = 0; n < 100_000; n++) source.emit('message', n)
    nextFrame()
    expect(get()).toEqual(Array.from({ length: 100_000 }, (_, n) => n))
  })

  test('calls a reducer for each message in order, and shows the value of the frame', () => {
    const source = createSource()
    const seen: string[] = []
    const append = (text: string, message: string) => {
      seen.push(message)
      return text + message
    }
    const [listen, get] = createCollector(append, '')(source)
    listen(() => {})
    source.emit('message', 'a')
    source.emit('message', 'b')
    expect([seen, get()]).toEqual([['a', 'b'], ''])
    nextFrame()
    expect(get()).toBe('ab')
  })

  test('goes on after a reducer has thrown for one message, which is reported', () => {
    const report = vi.fn()
    vi.stubGlobal('reportError', report)
    const source = createSource()
    const divide = (sum: number, message: { by: number }) => sum + message.by
    const [listen, get] = createCollector(divide, 0)(source)
    listen(() => {})
    for (const message of [{ by: 1 }, null, { by: 2 }]) source.emit('message', message)
    nextFrame()
    expect(get()).toBe(3)
    expect(report).toHaveBeenCalledWith(expect.any(TypeError))
  })

  test('shows the others although one view throws when it is rendered', () => {
    const report = vi.fn()
    vi.stubGlobal('reportError', report)
    const source = createSource()
    const failure = new Error('a view that fails')
    createCollector(
      1,
      undefined,
    )(source)[0](() => {
      throw failure
    })
    const [listen, get] = createCollector(1, undefined)(source)
    const changed = vi.fn()
    listen(changed)
    for (const message of [1, 2]) {
      source.emit('message', message)
      nextFrame()
      expect(get()).toEqual([message])
    }
    expect(changed).toHaveBeenCalledTimes(2)
    expect(report).toHaveBeenCalledWith(failure)
  })

  test('goes on with the same list from a new source, and with a new limit', () => {
    const [first, second] = [createSource(), createSource()]
    const changed = vi.fn()
    const collect = createCollector(5, undefined)
    const leave = collect(first)[0](() => {})
    first.emit('message', 1)
    leave()
    const [listen, get] = collect(second, 2)
    listen(changed)
    nextFrame()
    expect([get(), changed.mock.calls.length]).toEqual([[1], 1])
    first.emit('message', 2)
    for (const n of [3, 4]) second.emit('message', n)
    nextFrame()
    expect(get()).toEqual([3, 4])
  })

  test('reports no change after it was left, although a frame was to come', () => {
    const source = createSource()
    const changed = vi.fn()
    const leave = createCollector(5, undefined)(source)[0](changed)
    source.emit('message', 1)
    leave()
    nextFrame()
    expect(changed).not.toHaveBeenCalled()
  })

  test('takes a second in a hidden page, where no frame comes, and the frame that comes late changes nothing', () => {
    const source = createSource()
    const changed = vi.fn()
    createCollector(5, undefined)(source)[0](changed)
    source.emit('message', 1)
    vi.advanceTimersByTime(999)
    expect(changed).toHaveBeenCalledTimes(0)
    vi.advanceTimersByTime(1)
    expect(changed).toHaveBeenCalledTimes(1)
    nextFrame()
    expect(changed).toHaveBeenCalledTimes(1)
  })

  test('takes a second where there are no frames at all', () => {
    vi.stubGlobal('requestAnimationFrame', undefined)
    const source = createSource()
    const changed = vi.fn()
    createCollector(5, undefined)(source)[0](changed)
    source.emit('message', 1)
    vi.advanceTimersByTime(1_000)
    expect(changed).toHaveBeenCalledTimes(1)
  })

  test('listens to the text of a socket, and to the values of json()', () => {
    const socket = createSocket('wss://push.example.com/feed')
    const [texts, values] = [socket, json(socket)].map(source => createCollector(5, undefined)(source))
    const leave = [texts, values].map(store => store?.[0](() => {}))
    vi.advanceTimersByTime(0)
    server.latest.send('{"n":1}')
    nextFrame()
    expect([texts?.[1](), values?.[1]()]).toEqual([['{"n":1}'], [{ n: 1 }]])
    for (const each of leave) each?.()
    server.latest.send('{"n":2}')
    expect(frames).toEqual([])
    socket.close()
  })

  test.each([0, -1, Number.NaN, '', 'latest', null, {}])('rejects the limit %o', limit => {
    expect(() => createCollector(limit as number, undefined)).toThrow(
      new TypeError('useMessages() needs a limit or a function'),
    )
  })
})
