import { getEventListeners } from 'node:events'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { guard } from '../../src/common/report.ts'
import { createEmitter } from '../../src/core/emitter.ts'
import { growth } from '../support/growth.ts'

interface Events {
  text: string
  count: number
}

const create = () => createEmitter<Events>(['text', 'count'])

/** A listener that records its name and the payload. */
const recorder = (log: string[], name: string) => (payload: unknown) => log.push(`${name}:${payload}`)

let reported: unknown[]

beforeEach(() => {
  reported = []
  vi.stubGlobal('reportError', (error: unknown) => reported.push(error))
})
afterEach(() => vi.unstubAllGlobals())

describe('an emitter', () => {
  test('calls every listener of an event in the order in which they were added, and no listener of another event', () => {
    const { on, emit } = create()
    const log: string[] = []
    on('text', recorder(log, 'first'))
    on('count', recorder(log, 'other'))
    on('text', recorder(log, 'second'))
    emit('text', 'hello')
    expect(log).toEqual(['first:hello', 'second:hello'])
  })

  test('passes the payload itself, neither a copy nor an event object', () => {
    const { on, emit } = createEmitter<{ thing: object }>(['thing'])
    const listener = vi.fn()
    const payload = {}
    on('thing', listener)
    emit('thing', payload)
    expect(listener.mock.calls).toEqual([[payload]])
    expect(listener.mock.calls[0]?.[0]).toBe(payload)
  })

  test('does nothing when an event has no listener', () => {
    const { emit } = create()
    expect(() => emit('text', 'hello')).not.toThrow()
  })

  test('adds the same listener only once', () => {
    const { on, emit } = create()
    const listener = vi.fn()
    on('text', listener)
    on('text', listener)
    emit('text', 'hello')
    expect(listener).toHaveBeenCalledTimes(1)
  })

  test('keeps the options of the first call when the same listener is added twice, as in the DOM', () => {
    const { on, emit } = create()
    const listener = vi.fn()
    const { signal } = new AbortController()
    on('text', listener)
    on('text', listener, { once: true, signal })
    emit('text', 'one')
    emit('text', 'two')
    expect(listener).toHaveBeenCalledTimes(2)
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })

  test('lets one listener receive several events, and removes it from each separately', () => {
    const { on, off, emit } = create()
    const listener = vi.fn()
    const stop = on('text', listener)
    on('count', listener)
    stop()
    emit('text', 'hello')
    emit('count', 1)
    expect(listener.mock.calls).toEqual([[1]])
    off('count', listener)
    emit('count', 2)
    expect(listener).toHaveBeenCalledTimes(1)
  })

  test.each(['nonsense', '', 'toString', 'constructor', '__proto__'])(
    'throws a TypeError for the event name %j',
    name => {
      const { on } = create()
      expect(() => on(name as 'text', () => {})).toThrow(TypeError)
    },
  )

  test.each([undefined, null, 1, 'text', {}, [() => {}]])(
    'throws a TypeError for %j as a listener',
    listener => {
      const { on } = create()
      expect(() => on('text', listener as never)).toThrow(TypeError)
    },
  )

  test('lists the known events in the error for an unknown one', () => {
    const { on } = create()
    expect(() => on('tekst' as 'text', () => {})).toThrow(/tekst.*text.*count/)
  })

  test('shares nothing with another emitter', () => {
    const [one, other] = [create(), create()]
    const listener = vi.fn()
    one.on('text', listener)
    other.emit('text', 'hello')
    expect(listener).not.toHaveBeenCalled()
  })
})

describe('removing a listener', () => {
  test('with off() removes this listener only', () => {
    const { on, off, emit } = create()
    const [removed, kept] = [vi.fn(), vi.fn()]
    on('text', removed)
    on('text', kept)
    off('text', removed)
    emit('text', 'hello')
    expect(removed).not.toHaveBeenCalled()
    expect(kept).toHaveBeenCalledTimes(1)
  })

  test('with the function that on() returned may be repeated', () => {
    const { on, emit } = create()
    const [removed, kept] = [vi.fn(), vi.fn()]
    const stop = on('text', removed)
    on('text', kept)
    stop()
    stop()
    emit('text', 'hello')
    expect(removed).not.toHaveBeenCalled()
    expect(kept).toHaveBeenCalledTimes(1)
  })

  test('that was never added has no effect', () => {
    const { on, off, emit } = create()
    const listener = vi.fn()
    on('text', listener)
    off('text', () => {})
    off('count', listener)
    emit('text', 'hello')
    expect(listener).toHaveBeenCalledTimes(1)
  })

  test('and adding it again puts it at the end', () => {
    const { on, off, emit } = create()
    const log: string[] = []
    const [first, second] = [recorder(log, 'first'), recorder(log, 'second')]
    on('text', first)
    on('text', second)
    off('text', first)
    on('text', first)
    emit('text', 'hello')
    expect(log).toEqual(['second:hello', 'first:hello'])
  })

  test('happens after one event with once()', () => {
    const { on, emit } = create()
    const listener = vi.fn()
    on('text', listener, { once: true })
    emit('text', 'one')
    emit('text', 'two')
    expect(listener.mock.calls).toEqual([['one']])
  })

  test('happens before it is called with once(), so that it may add itself again', () => {
    const { on, emit } = create()
    const received: string[] = []
    const listener = (text: string) => {
      received.push(text)
      on('text', listener, { once: true })
    }
    on('text', listener, { once: true })
    emit('text', 'one')
    emit('text', 'two')
    expect(received).toEqual(['one', 'two'])
  })

  test('happens only once with once(), even if the listener emits the same event', () => {
    const { on, emit } = create()
    const listener = vi.fn(() => emit('text', 'again'))
    on('text', listener, { once: true })
    emit('text', 'one')
    expect(listener).toHaveBeenCalledTimes(1)
  })

  test('happens with once() even if the listener throws', () => {
    const { on, emit } = create()
    const listener = vi.fn(() => {
      throw new Error('oops')
    })
    on('text', listener, { once: true })
    emit('text', 'one')
    emit('text', 'two')
    expect(listener).toHaveBeenCalledTimes(1)
  })

  test('happens when its signal is aborted', () => {
    const { on, emit } = create()
    const listener = vi.fn()
    const controller = new AbortController()
    on('text', listener, { signal: controller.signal })
    emit('text', 'one')
    controller.abort()
    emit('text', 'two')
    expect(listener.mock.calls).toEqual([['one']])
  })

  test('is not necessary if its signal was aborted before: it is not added', () => {
    const { on, emit } = create()
    const listener = vi.fn()
    const signal = AbortSignal.abort()
    const stop = on('text', listener, { signal })
    emit('text', 'hello')
    expect(listener).not.toHaveBeenCalled()
    expect(stop).not.toThrow()
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })

  test('works for any number of listeners with one signal', () => {
    const { on, emit } = create()
    const listeners = [vi.fn(), vi.fn(), vi.fn()]
    const controller = new AbortController()
    for (const listener of listeners) on('text', listener, { signal: controller.signal })
    controller.abort()
    emit('text', 'hello')
    for (const listener of listeners) expect(listener).not.toHaveBeenCalled()
  })

  describe('removes its own listener from the signal', () => {
    const listener = () => {}
    const ways: Record<string, (emitter: ReturnType<typeof create>, stop: () => void) => void> = {
      'after off()': ({ off }) => off('text', listener),
      'after the function that on() returned was called': (_, stop) => stop(),
      'after a once listener has run': ({ emit }) => emit('text', 'hello'),
    }
    test.each(Object.entries(ways))('%s', (_, stop) => {
      const emitter = create()
      const controller = new AbortController()
      const { signal } = controller
      const undo = emitter.on('text', listener, { once: true, signal })
      expect(getEventListeners(signal, 'abort')).toHaveLength(1)
      stop(emitter, undo)
      expect(getEventListeners(signal, 'abort')).toHaveLength(0)
    })

    test('when the signal was aborted', () => {
      const controller = new AbortController()
      create().on('text', listener, { signal: controller.signal })
      controller.abort()
      expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0)
    })
  })

  test('does not remove a later subscription of the same listener through the signal of an earlier one', () => {
    const { on, off, emit } = create()
    const listener = vi.fn()
    const controller = new AbortController()
    on('text', listener, { signal: controller.signal })
    off('text', listener)
    on('text', listener)
    controller.abort()
    emit('text', 'hello')
    expect(listener).toHaveBeenCalledTimes(1)
  })
})

describe('during an event', () => {
  afterEach(() => expect(reported).toEqual([]))

  test('a listener that is added receives the next event, but not the present one', () => {
    const { on, emit } = create()
    const late = vi.fn()
    on('text', () => on('text', late))
    emit('text', 'one')
    expect(late).not.toHaveBeenCalled()
    emit('text', 'two')
    expect(late.mock.calls).toEqual([['two']])
  })

  test('a listener that an earlier one removes is not called', () => {
    const { on, off, emit } = create()
    const removed = vi.fn()
    on('text', () => off('text', removed))
    on('text', removed)
    emit('text', 'hello')
    expect(removed).not.toHaveBeenCalled()
  })

  test('a listener whose signal an earlier one aborts is not called', () => {
    const { on, emit } = create()
    const removed = vi.fn()
    const controller = new AbortController()
    on('text', () => controller.abort())
    on('text', removed, { signal: controller.signal })
    emit('text', 'hello')
    expect(removed).not.toHaveBeenCalled()
  })

  test('a listener that an earlier one removes and adds again is called for the next event', () => {
    const { on, off, emit } = create()
    const late = vi.fn()
    on(
      'text',
      () => {
        off('text', late)
        on('text', late)
      },
      { once: true },
    )
    on('text', late)
    emit('text', 'one')
    expect(late).not.toHaveBeenCalled()
    emit('text', 'two')
    expect(late.mock.calls).toEqual([['two']])
  })

  test('a listener that removes itself does not make the emitter skip the next one', () => {
    const { on, emit } = create()
    const next = vi.fn()
    const stop: () => void = on('text', () => stop())
    on('text', next)
    emit('text', 'hello')
    expect(next).toHaveBeenCalledTimes(1)
  })

  test('a listener that removes an earlier one does not make the emitter skip the next one', () => {
    const { on, off, emit } = create()
    const [first, last] = [vi.fn(), vi.fn()]
    on('text', first)
    on('text', () => off('text', first))
    on('text', last)
    emit('text', 'hello')
    expect(first).toHaveBeenCalledTimes(1)
    expect(last).toHaveBeenCalledTimes(1)
  })

  test('a listener that is added receives an event that the present one causes', () => {
    const { on, emit } = create()
    const late = vi.fn()
    on(
      'text',
      () => {
        emit('text', 'two')
        on('text', late)
      },
      { once: true },
    )
    emit('text', 'one')
    expect(late.mock.calls).toEqual([['two']])
  })
})

describe('a listener that throws', () => {
  const oops = new Error('oops')
  const thrower = () => {
    throw oops
  }

  test('does not prevent the others from running, nor itself from running again', () => {
    const { on, emit } = create()
    const [before, faulty, after] = [vi.fn(), vi.fn(thrower), vi.fn()]
    on('text', before)
    on('text', faulty)
    on('text', after)
    expect(() => {
      emit('text', 'one')
      emit('text', 'two')
    }).not.toThrow()
    for (const listener of [before, faulty, after]) expect(listener).toHaveBeenCalledTimes(2)
  })

  test('is reported with reportError and the error itself', () => {
    const { on, emit } = create()
    on('text', thrower)
    emit('text', 'hello')
    expect(reported).toEqual([oops])
    expect(reported[0]).toBe(oops)
  })

  test('is reported from a microtask if the platform has no reportError', () => {
    vi.stubGlobal('reportError', undefined)
    const microtasks: (() => void)[] = []
    vi.stubGlobal('queueMicrotask', (job: () => void) => microtasks.push(job))
    const { on, emit } = create()
    const after = vi.fn()
    on('text', thrower)
    on('text', after)
    emit('text', 'hello')
    expect(after).toHaveBeenCalledTimes(1)
    expect(microtasks).toHaveLength(1)
    expect(microtasks[0]).toThrow(oops)
  })

  test('is reported with the reportError of the moment, even if it was replaced', () => {
    const { on, emit } = create()
    const later = vi.fn()
    on('text', thrower)
    vi.stubGlobal('reportError', later)
    emit('text', 'hello')
    expect(later).toHaveBeenCalledTimes(1)
    expect(reported).toEqual([])
  })

  test('does not prevent pending events and jobs', () => {
    const { on, emit, defer } = create()
    const log: string[] = []
    on('text', () => {
      emit('count', 1)
      defer(() => log.push('job'))
      throw oops
    })
    on('count', recorder(log, 'count'))
    emit('text', 'hello')
    expect(log).toEqual(['count:1', 'job'])
  })

  test('leaves the emitter able to emit at once', () => {
    const { on, emit } = create()
    const received: string[] = []
    on('text', thrower)
    on('text', text => received.push(text))
    emit('text', 'one')
    expect(received).toEqual(['one'])
    emit('text', 'two')
    expect(received).toEqual(['one', 'two'])
  })
})

describe('the order of events', () => {
  test('puts an event that a listener emits after the present event has reached all listeners', () => {
    const { on, emit } = create()
    const log: string[] = []
    on('text', text => {
      log.push(`a:${text}`)
      if (text === 'one') emit('text', 'two')
    })
    on('text', recorder(log, 'b'))
    emit('text', 'one')
    expect(log).toEqual(['a:one', 'b:one', 'a:two', 'b:two'])
  })

  test('holds across event types and any depth of nesting', () => {
    const { on, emit } = create()
    const logs: string[][] = [[], [], []]
    for (const log of logs) {
      on('text', text => {
        log.push(text)
        if (text.length < 4) emit('text', `${text}${log === logs[0] ? 'a' : 'b'}`)
        if (text.length < 3) emit('count', text.length)
      })
      on('count', count => log.push(`${count}`))
    }
    emit('text', '.')
    expect(logs[0]?.length).toBeGreaterThan(30)
    expect(logs[1]).toEqual(logs[0])
    expect(logs[2]).toEqual(logs[0])
  })

  test('lets emit() return after all listeners have run, unless a listener called it', () => {
    const { on, emit } = create()
    const log: string[] = []
    on('count', recorder(log, 'count'))
    on('text', () => {
      emit('count', 1)
      log.push('emit returned')
    })
    emit('text', 'hello')
    expect(log).toEqual(['emit returned', 'count:1'])
  })

  test('holds without recursion for 100,000 events that each emit the next', {
    timeout: 20_000,
  }, () => {
    const { on, emit } = create()
    let calls = 0
    let last = 0
    on('count', count => {
      calls++
      if (count < 100_000) emit('count', count + 1)
    })
    on('count', count => (last = count))
    emit('count', 1)
    expect([calls, last]).toEqual([100_000, 100_000])
  })

  test('holds for 100,000 events that one listener emits', { timeout: 20_000 }, () => {
    const { on, emit } = create()
    const received: number[] = []
    on('text', () => {
      for (let count = 0; count < 100_000; count++) emit('count', count)
    })
    on('count', count => received.push(count))
    emit('text', 'go')
    expect(received).toHaveLength(100_000)
    expect(received.every((count, index) => count === index)).toBe(true)
  })
})

describe('a deferred job', () => {
  test('runs at once when no event is being dispatched', () => {
    const { defer } = create()
    const job = vi.fn()
    defer(job)
    expect(job).toHaveBeenCalledTimes(1)
  })

  test('runs after all listeners of the present event when a listener defers it', () => {
    const { on, emit, defer } = create()
    const log: string[] = []
    on('text', () => defer(() => log.push('job')))
    on('text', recorder(log, 'b'))
    emit('text', 'hello')
    expect(log).toEqual(['b:hello', 'job'])
  })

  test('runs after the events that were pending before and after it', () => {
    const { on, emit, defer } = create()
    const log: string[] = []
    on('text', () => {
      emit('count', 1)
      defer(() => log.push('job'))
      emit('count', 2)
    })
    on('count', recorder(log, 'count'))
    emit('text', 'hello')
    expect(log).toEqual(['count:1', 'count:2', 'job'])
  })

  test('runs in the order of defer(), even if another job deferred it', () => {
    const { on, emit, defer } = create()
    const log: string[] = []
    on('text', () => {
      defer(() => {
        log.push('first begins')
        defer(() => log.push('third'))
        log.push('first ends')
      })
      defer(() => log.push('second'))
    })
    emit('text', 'hello')
    expect(log).toEqual(['first begins', 'first ends', 'second', 'third'])
  })

  test('runs after the listeners of an event that an earlier job emitted', () => {
    const { on, emit, defer } = create()
    const log: string[] = []
    on('count', recorder(log, 'count'))
    on('text', () => {
      defer(() => emit('count', 1))
      defer(() => log.push('job'))
    })
    emit('text', 'hello')
    expect(log).toEqual(['count:1', 'job'])
  })

  test('that throws is reported, and the next one runs', () => {
    const { on, emit, defer } = create()
    const next = vi.fn()
    const oops = new Error('oops')
    on('text', () => {
      defer(() => {
        throw oops
      })
      defer(next)
    })
    emit('text', 'hello')
    expect(reported).toEqual([oops])
    expect(next).toHaveBeenCalledTimes(1)
    defer(next)
    expect(next).toHaveBeenCalledTimes(2)
  })

  // Taking them with `shift()` is quadratic, and takes longer than this.
  test('among 400,000 that one listener defers runs in order, in linear time', async () => {
    const runAll = (total: number) => {
      const { on, emit, defer } = create()
      let run = 0
      let inOrder = true
      on('text', () => {
        for (let job = 0; job < total; job++) {
          defer(() => {
            inOrder &&= job === run++
          })
        }
      })
      emit('text', 'go')
      expect([run, inOrder]).toEqual([total, true])
    }
    expect(await growth(runAll, 40_000)).toBeLessThan(40)
  })
})

describe('guard()', () => {
  test('calls the function with the payload and returns its result', () => {
    const double = vi.fn((count: number) => count * 2)
    expect(guard(double, 21)).toBe(42)
    expect(double.mock.calls).toEqual([[21]])
    expect(reported).toEqual([])
  })

  test.each([new Error('oops'), 'a string', undefined])(
    'reports a thrown value (%s) and returns undefined',
    thrown => {
      const answer = guard(() => {
        throw thrown
      }, undefined)
      expect(answer).toBeUndefined()
      expect(reported).toEqual([thrown])
    },
  )
})

describe('emit()', () => {
  test('returns whether the event has a listener', () => {
    const { on, off, emit } = create()
    const listener = () => {}
    expect(emit('text', 'nobody')).toBe(false)
    on('text', listener)
    expect(emit('text', 'somebody')).toBe(true)
    off('text', listener)
    expect(emit('text', 'nobody again')).toBe(false)
  })
})

describe('off()', () => {
  test('throws a TypeError that lists the known events if the event is unknown', () => {
    expect(() => create().off('tekst' as 'text', () => {})).toThrow(/tekst.*text, count/)
  })
})
