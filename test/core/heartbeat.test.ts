import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { heartbeat as startHeartbeat } from '../../src/core/heartbeat.ts'

const INTERVAL = 25_000
const TIMEOUT = 10_000
const PROBE = 3_000

interface Pace {
  interval?: number
  timeout?: number
  message?: string
}

/** A heartbeat that only watches for silence. */
const MUTE: Pace = {}
const ASKS: Pace = { message: 'ping' }

/** A heartbeat, what it did, and its peer. */
const start = (
  pace: Pace = {},
  kind: Pace = ASKS,
  memory = { timeouts: 0 },
  bytes = { left: 0, buffered: 0 },
) => {
  const begun = performance.now()
  /** When it asked, and when it found the connection dead, in milliseconds since it began. */
  const asked: number[] = []
  const died: number[] = []
  const measured: number[] = []
  const now = () => performance.now() - begun
  const counts = {
    get latency() {
      return measured.at(-1)
    },
    set latency(latency) {
      measured.push(latency as number)
    },
  }
  const heartbeat = startHeartbeat(
    { interval: INTERVAL, timeout: TIMEOUT, isReply: data => data === 'pong', ...kind, ...pace },
    { write: () => asked.push(now()), left: () => bytes.left },
    {
      get bufferedAmount() {
        return bytes.buffered
      },
    },
    () => died.push(now()),
    counts,
    memory,
  )
  /** A message comes, as a browser's event tells of it. */
  const hear = (data: unknown = 'news') => heartbeat.onMessage({ data, timeStamp: performance.now() })
  return { ...heartbeat, asked, died, measured, hear }
}

const pass = (time: number) => vi.advanceTimersByTime(time)

/** Goes on from timer to timer, within reason. */
const passUntil = (holds: () => boolean) => {
  for (let timer = 0; timer < 100 && !holds(); timer++) vi.advanceTimersToNextTimer()
  expect(holds()).toBe(true)
}

/**
 * The process sleeps: when it wakes up, the wall clock is ahead, and timers still take what was left of them. Some
 * platforms' monotonic clocks go on meanwhile, others' stand still.
 */
const sleep = (time: number, clock: 'stands still' | 'goes on') => {
  vi.setSystemTime(Date.now() + time)
  if (clock === 'stands still') return
  const now = performance.now.bind(performance)
  performance.now = () => now() + time
}

beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 })
  // The page is a minute old.
  pass(60_000)
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

describe('silence', () => {
  test('causes a ping after interval, and a timeout after interval + timeout', () => {
    const { asked, died } = start()
    pass(INTERVAL - 1)
    expect(asked).toEqual([])
    pass(1)
    expect(asked).toEqual([INTERVAL])
    pass(TIMEOUT - 1)
    expect(died).toEqual([])
    pass(1)
    expect(died).toEqual([INTERVAL + TIMEOUT])
  })

  test('is measured with the times from the options', () => {
    const { asked, died } = start({ interval: 700, timeout: 200 })
    pass(10_000)
    expect([asked, died]).toEqual([[700], [900]])
  })

  test('causes only one timeout, and no timer remains', () => {
    const { died } = start()
    pass(10 * INTERVAL)
    expect(died).toHaveLength(1)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('causes one ping when interval has passed since the last message', () => {
    const { asked, hear } = start()
    pass(20_000)
    hear()
    pass(INTERVAL - 1)
    expect(asked).toEqual([25_000])
    pass(1)
    expect(asked).toEqual([25_000, 45_000])
    pass(TIMEOUT - 1)
    expect(asked).toEqual([25_000, 45_000])
  })

  test('shorter than interval does not prevent the ping of each interval, because servers close connections on which they receive nothing', () => {
    const { asked, died, hear } = start({ interval: 500 })
    for (let message = 0; message < 60; message++) {
      pass(100)
      hear()
    }
    expect([asked.length, died]).toEqual([12, []])
    const gaps = asked.slice(1).map((time, index) => time - (asked[index] as number))
    for (const gap of gaps) expect(gap).toBe(500)
  })

  test('causes one ping for each interval if the peer only replies, for as long as it does', () => {
    const { asked, died, hear } = start()
    for (let question = 1; question <= 100; question++) {
      passUntil(() => asked.length === question)
      pass(50)
      hear('pong')
    }
    expect(died).toEqual([])
    const gaps = asked.slice(1).map((time, index) => time - (asked[index] as number))
    for (const gap of gaps) expect(gap).toBe(INTERVAL + 50)
  })

  test.each(['news', 'pong', '', new ArrayBuffer(8), {}])('ends with any message: %o', data => {
    const { died, hear } = start()
    pass(INTERVAL + TIMEOUT - 1)
    hear(data)
    pass(INTERVAL)
    expect(died).toEqual([])
  })

  test('without a message option only causes a timeout, for servers that send regularly', () => {
    const { asked, died, hear } = start({}, MUTE)
    pass(20_000)
    hear()
    pass(INTERVAL + TIMEOUT - 1)
    expect([asked, died]).toEqual([[], []])
    pass(1)
    expect([asked, died]).toEqual([[], [20_000 + INTERVAL + TIMEOUT]])
  })

  test('causes a ping if the message option is an empty string', () => {
    const { asked } = start({ message: '' })
    pass(INTERVAL)
    expect(asked).toEqual([INTERVAL])
  })
})

describe('the deadline', () => {
  /** Plays messages with these gaps between them, then silence, and says how long after the last one death came. */
  const lastWords = (options: Pace, gaps: number[]) => {
    vi.clearAllTimers()
    const { interval = INTERVAL, timeout = TIMEOUT } = options
    const { died, hear } = start(options)
    let last = 0
    gaps.forEach((gap, index) => {
      pass(gap)
      last += gap
      expect(died).toEqual([])
      hear(index % 2 ? 'pong' : 'news')
    })
    pass(2 * (interval + timeout) + 10_000)
    expect(died).toHaveLength(1)
    return (died[0] as number) - last
  }

  /** Times of messages that a living peer could send under this pace: never a whole bound apart. */
  const lives = (pace: fc.Arbitrary<[interval: number, timeout: number]>) =>
    pace.chain(([interval, timeout]) =>
      fc.record({
        interval: fc.constant(interval),
        timeout: fc.constant(timeout),
        gaps: fc.array(fc.integer({ min: 0, max: interval + timeout - 1 }), { maxLength: 30 }),
      }),
    )

  const expectPunctualDeath = (pace: fc.Arbitrary<[interval: number, timeout: number]>) =>
    fc.assert(
      fc.property(lives(pace), ({ gaps, ...options }) => {
        expect(lastWords(options, gaps)).toBe(options.interval + options.timeout)
      }),
      { numRuns: 300 },
    )

  const long = fc.integer({ min: 1_000, max: 30_000 })

  test('is interval + timeout after the last message, whenever that was', () => {
    const pace = fc.tuple(long, long).map(([a, b]): [number, number] => [Math.max(a, b), Math.min(a, b)])
    expectPunctualDeath(pace)
  })

  test('also holds if timeout is longer than interval', () => {
    expect(lastWords({ interval: 5_000, timeout: 10_000 }, [5_100])).toBe(15_000)
    const pace = fc.tuple(long, long).map(([a, b]): [number, number] => [Math.min(a, b), Math.max(a, b)])
    expectPunctualDeath(pace)
  })

  test('is not extended by probes', () => {
    const probes = fc.array(fc.integer({ min: 0, max: INTERVAL + TIMEOUT }), { maxLength: 10 })
    fc.assert(
      fc.property(probes, times => {
        vi.clearAllTimers()
        const { died, probe } = start()
        let now = 0
        for (const time of times.toSorted((a, b) => a - b)) {
          pass(time - now)
          now = time
          if (!died.length) probe()
        }
        pass(INTERVAL + TIMEOUT - now)
        expect(died).toHaveLength(1)
      }),
    )
  })

  test('is not extended by probes if timeout is shorter than their own deadline', () => {
    const { died, probe } = start({ interval: 25_000, timeout: 1_000 })
    pass(24_000)
    probe()
    pass(2_000)
    expect(died).toHaveLength(1)
  })

  test('never passes for a peer that replies, whenever it is probed', () => {
    const { died, asked, hear, probe } = start()
    const doubts = [100, 2_900, 3_100, 9_999, 24_999, 25_000, 25_001, 40_000, 70_000]
    let now = 0
    for (const time of doubts) {
      pass(time - now)
      now = time
      probe()
      pass(1)
      now++
      hear()
    }
    pass(INTERVAL - 1)
    expect(died).toEqual([])
    expect(asked.length).toBeGreaterThanOrEqual(doubts.length)
  })
})

describe('a heartbeat timer that fires late', () => {
  const CLOCKS = ['stands still', 'goes on'] as const

  describe.each(CLOCKS)('with a monotonic clock that %s during sleep', clock => {
    test('during the interval causes a ping with the full timeout', () => {
      const { asked, died } = start()
      pass(INTERVAL - 100)
      sleep(3_600_000, clock)
      pass(100)
      expect(asked).toHaveLength(1)
      pass(TIMEOUT - 1)
      expect(died).toEqual([])
      pass(1)
      expect(died).toHaveLength(1)
    })

    test('at the deadline causes another ping instead of a timeout', () => {
      const { asked, died } = start()
      pass(INTERVAL + TIMEOUT - 100)
      expect(asked).toHaveLength(1)
      sleep(3_600_000, clock)
      pass(100)
      expect(died).toEqual([])
      expect(asked).toHaveLength(2)
      pass(TIMEOUT - 1)
      expect(died).toEqual([])
      pass(1)
      expect(died).toHaveLength(1)
    })

    test('has no effect if a reply has arrived', () => {
      const { died, hear } = start()
      pass(INTERVAL + TIMEOUT - 100)
      sleep(3_600_000, clock)
      pass(100)
      hear('pong')
      pass(TIMEOUT + INTERVAL - 1)
      expect(died).toEqual([])
    })

    test('causes a timeout the second time, so that a hidden page notices its dead connection', () => {
      const { asked, died } = start()
      pass(INTERVAL + TIMEOUT - 100)
      sleep(60_000, clock)
      pass(100)
      expect([asked.length, died.length]).toEqual([2, 0])
      pass(TIMEOUT - 100)
      sleep(60_000, clock)
      pass(100)
      expect([asked.length, died.length]).toEqual([2, 1])
    })

    test('causes a timeout after at most three pings in every phase', () => {
      const { asked, died } = start()
      for (let wake = 0; wake < 10 && !died.length; wake++) {
        sleep(60_000, clock)
        vi.advanceTimersToNextTimer()
      }
      expect(died).toHaveLength(1)
      expect(asked.length).toBeLessThanOrEqual(3)
    })

    test('after a reply counts as the first one again', () => {
      const { asked, died, hear } = start()
      for (let round = 0; round < 5; round++) {
        const { length } = asked
        passUntil(() => asked.length > length)
        sleep(60_000, clock)
        vi.advanceTimersToNextTimer()
        expect(asked).toHaveLength(length + 2)
        hear('pong')
      }
      expect(died).toEqual([])
    })
  })

  test.each([
    [999, 'causes a timeout, because any timer may be that late', 1],
    [1_001, 'causes another ping', 0],
  ])('by %d ms %s', (lateness, _, deaths) => {
    const { died } = start()
    pass(INTERVAL + TIMEOUT - 100)
    sleep(lateness, 'goes on')
    pass(100)
    expect(died).toHaveLength(deaths)
  })

  test('is not recognized if the wall clock was set back', () => {
    const { died } = start()
    pass(INTERVAL)
    vi.setSystemTime(Date.now() - 3_600_000)
    pass(TIMEOUT)
    expect(died).toHaveLength(1)
  })
})

describe('a probe', () => {
  test('pings at once and causes a timeout after three seconds', () => {
    const { asked, died, probe } = start()
    pass(1_000)
    probe()
    expect(asked).toEqual([1_000])
    pass(PROBE - 1)
    expect(died).toEqual([])
    pass(1)
    expect(died).toEqual([1_000 + PROBE])
  })

  test('that gets a reply is followed by the next ping one interval after the reply', () => {
    const { asked, died, hear, probe } = start()
    pass(1_000)
    probe()
    pass(100)
    hear('pong')
    pass(INTERVAL)
    expect([asked, died]).toEqual([[1_000, 1_100 + INTERVAL], []])
  })

  test('is sent once for several probes in a row', () => {
    const { asked, died, probe } = start()
    pass(1_000)
    probe()
    probe()
    pass(300)
    probe()
    pass(2_000)
    probe()
    expect(asked).toEqual([1_000])
    pass(700)
    expect(died).toEqual([1_000 + PROBE])
  })

  test('shortens the deadline of a ping that was already sent', () => {
    const { asked, died, probe } = start()
    pass(INTERVAL + 1_000)
    probe()
    expect(asked).toEqual([INTERVAL, INTERVAL + 1_000])
    pass(PROBE)
    expect(died).toEqual([INTERVAL + 1_000 + PROBE])
  })

  test('does not extend an earlier deadline', () => {
    const { asked, died, probe } = start()
    pass(INTERVAL + TIMEOUT - 1_000)
    probe()
    expect(asked).toEqual([INTERVAL])
    pass(1_000)
    expect(died).toEqual([INTERVAL + TIMEOUT])
  })

  test('is sent again after the last one got a reply', () => {
    const { asked, hear, probe } = start()
    pass(1_000)
    probe()
    pass(100)
    hear('pong')
    pass(100)
    probe()
    expect(asked).toEqual([1_000, 1_200])
  })

  test('is sent when the process slept past the running deadline', () => {
    const { asked, died, probe } = start()
    pass(INTERVAL + TIMEOUT - 1_000)
    sleep(3_600_000, 'goes on')
    probe()
    expect(asked).toHaveLength(2)
    pass(PROBE - 1)
    expect(died).toEqual([])
    pass(1)
    expect(died).toHaveLength(1)
  })

  test('does nothing without a message option', () => {
    const { asked, died, probe } = start({}, MUTE)
    pass(1_000)
    probe()
    pass(INTERVAL + TIMEOUT - 1_001)
    expect([asked, died]).toEqual([[], []])
    pass(1)
    expect(died).toEqual([INTERVAL + TIMEOUT])
  })
})

describe('heartbeat replies', () => {
  test('are recognized by isReply, other messages are not', () => {
    const { hear } = start()
    expect(hear('pong')).toBe(true)
    expect(hear('news')).toBe(false)
    expect(hear(new ArrayBuffer(2))).toBe(false)
  })

  test('measure the round trip', () => {
    const { hear, measured } = start()
    pass(INTERVAL)
    expect(measured).toEqual([])
    pass(120)
    hear('pong')
    expect(measured).toEqual([120])
  })

  test('measure each ping separately, by the timestamps of their events', () => {
    const { asked, onMessage, hear, measured } = start()
    pass(INTERVAL)
    const timeStamp = performance.now() + 80
    // The page was busy when it came.
    pass(500)
    onMessage({ data: 'pong', timeStamp })
    passUntil(() => asked.length === 2)
    pass(30)
    hear('pong')
    expect(measured).toEqual([80, 30])
  })

  test('measure probes, too', () => {
    const { hear, measured, probe } = start()
    pass(1_000)
    probe()
    pass(45)
    hear('pong')
    expect(measured).toEqual([45])
  })

  test('measure from the last ping, even if another message answered the one before', () => {
    const { asked, hear, measured } = start()
    pass(INTERVAL + 40)
    hear('news')
    passUntil(() => asked.length === 2)
    pass(30)
    hear('pong')
    expect(measured).toEqual([30])
  })

  test('without a ping are hidden from listeners, and measure nothing', () => {
    const { hear, measured } = start()
    pass(1_000)
    expect(hear('pong')).toBe(true)
    expect(measured).toEqual([])
  })

  test('measure nothing without a message option', () => {
    const { hear, measured } = start({}, MUTE)
    pass(INTERVAL + 40)
    expect(hear('pong')).toBe(true)
    expect(measured).toEqual([])
  })

  test('are not required: other messages also keep the connection, but measure nothing', () => {
    const { hear, measured } = start()
    pass(INTERVAL + 40)
    hear('news')
    expect(measured).toEqual([])
    pass(60)
    hear('pong')
    expect(measured).toEqual([100])
  })
})

describe('messages with event timestamps of another clock', () => {
  /** As they look, and how they tell the time. */
  const EVENTS: [whose: string, timeStamp: () => object][] = [
    ['without one, as from the ws package', () => ({})],
    ['undefined', () => ({ timeStamp: undefined })],
    ['from the wall clock, as from mock-socket', () => ({ timeStamp: Date.now() })],
  ]

  describe.each(EVENTS)('%s', (_, time) => {
    test('keep the connection when they arrive', () => {
      const { onMessage, asked, died } = start()
      pass(20_000)
      onMessage({ data: 'news', ...time() })
      pass(INTERVAL - 1)
      expect(asked).toEqual([INTERVAL])
      pass(1)
      expect(asked).toEqual([INTERVAL, 20_000 + INTERVAL])
      pass(TIMEOUT)
      expect(died).toEqual([20_000 + INTERVAL + TIMEOUT])
    })

    test('measure latency by their arrival', () => {
      const { onMessage, measured } = start()
      pass(INTERVAL + 70)
      expect(onMessage({ data: 'pong', ...time() })).toBe(true)
      expect(measured).toEqual([70])
    })
  })
})

describe('stopping the heartbeat', () => {
  const phases: [phase: string, reach: (subject: ReturnType<typeof start>) => void][] = [
    ['at once', () => {}],
    ['in the interval', () => pass(20_000)],
    ['while a ping is under way', () => pass(INTERVAL + 1_000)],
    ['while a probe is under way', ({ probe }) => probe()],
  ]
  test.each(phases)('stops all timers for good: %s', (_, reach) => {
    const subject = start()
    reach(subject)
    expect(vi.getTimerCount()).toBe(1)
    subject.stop()
    expect(vi.getTimerCount()).toBe(0)
    const { length } = subject.asked
    pass(10 * INTERVAL)
    expect(subject.asked).toHaveLength(length)
    expect(subject.died).toEqual([])
  })

  test('prevents later messages from starting it again', () => {
    const { hear, stop } = start()
    stop()
    hear()
    hear('pong')
    expect(vi.getTimerCount()).toBe(0)
  })

  test('is possible while it pings', () => {
    const dead = vi.fn()
    const heartbeat = startHeartbeat(
      { interval: INTERVAL, timeout: TIMEOUT, ...ASKS },
      { write: () => heartbeat.stop(), left: () => 0 },
      { bufferedAmount: 0 },
      dead,
      { latency: undefined },
      { timeouts: 0 },
    )
    pass(INTERVAL)
    expect(vi.getTimerCount()).toBe(0)
    pass(INTERVAL)
    expect(dead).not.toHaveBeenCalled()
  })
})

describe('long heartbeat times', () => {
  /** Counts the timers that are set while so much time passes. */
  const timersSet = (time: number) => {
    const set = vi.spyOn(globalThis, 'setTimeout')
    pass(time)
    return set.mock.calls.length
  }

  test.each([2 ** 31, 1e12, Infinity])('of interval = %d ms cause no ping and no busy loop', interval => {
    const { asked, died } = start({ interval })
    expect(timersSet(2e9)).toBeLessThanOrEqual(2)
    expect(vi.getTimerCount()).toBe(interval < Infinity ? 1 : 0)
    expect([asked.length, died.length]).toEqual([0, 0])
  })

  test('of interval = 2^31 ms, more than a timer accepts, cause a ping at the right time', () => {
    const { asked } = start({ interval: 2 ** 31 })
    pass(2 ** 31 + 1)
    expect(asked).toEqual([2 ** 31])
  })

  test.each([2 ** 31, Infinity])('of timeout = %d ms cause no early timeout', timeout => {
    const { asked, died } = start({ timeout })
    pass(INTERVAL + 2e9)
    expect(asked.length).toBeGreaterThan(0)
    expect(died).toEqual([])
  })

  test('use one timer, which messages do not restart', () => {
    const { hear } = start()
    const set = vi.spyOn(globalThis, 'setTimeout')
    for (let message = 0; message < 1_000; message++) hear()
    expect(set).not.toHaveBeenCalled()
    expect(vi.getTimerCount()).toBe(1)
  })
})

describe('a slow connection', () => {
  test('is not dead while bytes ahead of the ping leave, and the timeout starts when they have left', () => {
    const bytes = { left: 0, buffered: 5_000 }
    const { died } = start({}, ASKS, undefined, bytes)
    pass(INTERVAL)
    for (let second = 0; second < 5; second++) {
      pass(TIMEOUT - 1)
      expect(died).toEqual([])
      bytes.left += 1_000
      bytes.buffered -= 1_000
      pass(1)
    }
    pass(TIMEOUT - 1)
    expect(died).toEqual([])
    pass(1)
    expect(died).toEqual([INTERVAL + 6 * TIMEOUT])
  })

  test('is dead when nothing ahead of the ping leaves', () => {
    const { died } = start({}, ASKS, undefined, { left: 0, buffered: 5_000 })
    pass(INTERVAL + TIMEOUT)
    expect(died).toEqual([INTERVAL + TIMEOUT])
  })

  test('is dead at the deadline if only bytes behind the ping leave, because the operating system accepts those for a dead peer too', () => {
    const bytes = { left: 0, buffered: 0 }
    const { died } = start({}, ASKS, undefined, bytes)
    for (let time = 0; time < INTERVAL + TIMEOUT; time += 100) {
      bytes.left += 100
      pass(100)
    }
    expect(died).toEqual([INTERVAL + TIMEOUT])
  })

  test('has twice the timeout after each dead connection in a row, up to a minute', () => {
    const memory = { timeouts: 0 }
    const waits = Array.from({ length: 5 }, () => {
      const { died } = start({}, ASKS, memory)
      pass(INTERVAL + 120_000)
      return (died[0] as number) - INTERVAL
    })
    expect(waits).toEqual([10_000, 20_000, 40_000, 60_000, 60_000])
  })

  test('has the usual timeout again after a ping was answered', () => {
    const memory = { timeouts: 3 }
    const { hear } = start({}, ASKS, memory)
    pass(INTERVAL)
    hear('pong')
    expect(memory.timeouts).toBe(0)
  })

  test('gets the usual timeout again once a ping was answered on a connection that is never silent', () => {
    const memory = { timeouts: 3 }
    const { hear, asked } = start({}, ASKS, memory)
    pass(INTERVAL - 1)
    hear()
    pass(1)
    expect(asked).toEqual([INTERVAL])
    hear('pong')
    expect(memory.timeouts).toBe(0)
  })

  test('never has a negative latency, whatever clock the events use', () => {
    const { onMessage, measured } = start()
    pass(INTERVAL)
    onMessage({ data: 'pong', timeStamp: performance.now() - 4_850 })
    expect(measured).toEqual([0])
  })
})
