import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { heartbeat as startHeartbeat } from '../../src/core/heartbeat.ts'

const INTERVAL = 25_000
const TIMEOUT = 10_000
const PROBE = 3_000

interface Settings {
  interval?: number
  timeout?: number
  message?: string
}

/** A heartbeat that sends nothing, and only detects silence. */
const SILENT: Settings = {}
const PINGS: Settings = { message: 'ping' }

/** Starts a heartbeat, and records what it does. */
const start = (
  settings: Settings = {},
  kind: Settings = PINGS,
  memory = { timeouts: 0 },
  bytes = { left: 0, buffered: 0 },
) => {
  const begun = performance.now()
  /** When it pinged, and when it reported the connection as dead, in milliseconds since the start. */
  const pings: number[] = []
  const timeouts: number[] = []
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
    { interval: INTERVAL, timeout: TIMEOUT, isReply: data => data === 'pong', ...kind, ...settings },
    { write: () => pings.push(now()), left: () => bytes.left },
    {
      get bufferedAmount() {
        return bytes.buffered
      },
    },
    () => timeouts.push(now()),
    counts,
    memory,
  )
  /** A message event of the browser. */
  const receive = (data: unknown = 'news') => heartbeat.onMessage({ data, timeStamp: performance.now() })
  return { ...heartbeat, pings, timeouts, measured, receive }
}

const pass = (time: number) => vi.advanceTimersByTime(time)

/** Runs up to 100 timers until the condition holds. */
const passUntil = (holds: () => boolean) => {
  for (let timer = 0; timer < 100 && !holds(); timer++) vi.advanceTimersToNextTimer()
  expect(holds()).toBe(true)
}

/**
 * Simulates a suspended process: afterwards, the wall clock is ahead, and timers still take their remaining time. The monotonic clock of some platforms
 * continues meanwhile, and that of others stops.
 */
const sleep = (time: number, clock: 'stops' | 'continues') => {
  vi.setSystemTime(Date.now() + time)
  if (clock === 'stops') return
  const now = performance.now.bind(performance)
  performance.now = () => now() + time
}

beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 })
  // The page was loaded a minute ago.
  pass(60_000)
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

describe('silence', () => {
  test('causes a ping after interval, and a timeout after interval + timeout', () => {
    const { pings, timeouts } = start()
    pass(INTERVAL - 1)
    expect(pings).toEqual([])
    pass(1)
    expect(pings).toEqual([INTERVAL])
    pass(TIMEOUT - 1)
    expect(timeouts).toEqual([])
    pass(1)
    expect(timeouts).toEqual([INTERVAL + TIMEOUT])
  })

  test('is measured with the times from the options', () => {
    const { pings, timeouts } = start({ interval: 700, timeout: 200 })
    pass(10_000)
    expect([pings, timeouts]).toEqual([[700], [900]])
  })

  test('causes only one timeout, and no timer remains', () => {
    const { timeouts } = start()
    pass(10 * INTERVAL)
    expect(timeouts).toHaveLength(1)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('causes one ping when interval has passed since the last message', () => {
    const { pings, receive } = start()
    pass(20_000)
    receive()
    pass(INTERVAL - 1)
    expect(pings).toEqual([25_000])
    pass(1)
    expect(pings).toEqual([25_000, 45_000])
    pass(TIMEOUT - 1)
    expect(pings).toEqual([25_000, 45_000])
  })

  test('shorter than interval does not prevent the ping of each interval, because servers close connections on which they receive nothing', () => {
    const { pings, timeouts, receive } = start({ interval: 500 })
    for (let message = 0; message < 60; message++) {
      pass(100)
      receive()
    }
    expect([pings.length, timeouts]).toEqual([12, []])
    const gaps = pings.slice(1).map((time, index) => time - (pings[index] as number))
    for (const gap of gaps) expect(gap).toBe(500)
  })

  test('causes one ping for each interval if the peer only replies, for as long as it does', () => {
    const { pings, timeouts, receive } = start()
    for (let question = 1; question <= 100; question++) {
      passUntil(() => pings.length === question)
      pass(50)
      receive('pong')
    }
    expect(timeouts).toEqual([])
    const gaps = pings.slice(1).map((time, index) => time - (pings[index] as number))
    for (const gap of gaps) expect(gap).toBe(INTERVAL + 50)
  })

  test.each(['news', 'pong', '', new ArrayBuffer(8), {}])('ends with any message: %o', data => {
    const { timeouts, receive } = start()
    pass(INTERVAL + TIMEOUT - 1)
    receive(data)
    pass(INTERVAL)
    expect(timeouts).toEqual([])
  })

  test('without a message option only causes a timeout, for servers that send regularly', () => {
    const { pings, timeouts, receive } = start({}, SILENT)
    pass(20_000)
    receive()
    pass(INTERVAL + TIMEOUT - 1)
    expect([pings, timeouts]).toEqual([[], []])
    pass(1)
    expect([pings, timeouts]).toEqual([[], [20_000 + INTERVAL + TIMEOUT]])
  })

  test('causes a ping if the message option is an empty string', () => {
    const { pings } = start({ message: '' })
    pass(INTERVAL)
    expect(pings).toEqual([INTERVAL])
  })
})

describe('the deadline', () => {
  /** Receives messages with these gaps, and then none. Returns the time from the last one to the timeout. */
  const timeoutAfter = (options: Settings, gaps: number[]) => {
    vi.clearAllTimers()
    const { interval = INTERVAL, timeout = TIMEOUT } = options
    const { timeouts, receive } = start(options)
    let last = 0
    gaps.forEach((gap, index) => {
      pass(gap)
      last += gap
      expect(timeouts).toEqual([])
      receive(index % 2 ? 'pong' : 'news')
    })
    pass(2 * (interval + timeout) + 10_000)
    expect(timeouts).toHaveLength(1)
    return (timeouts[0] as number) - last
  }

  /** The gaps between messages of a working connection: always shorter than interval + timeout. */
  const gapsWithin = (settings: fc.Arbitrary<[interval: number, timeout: number]>) =>
    settings.chain(([interval, timeout]) =>
      fc.record({
        interval: fc.constant(interval),
        timeout: fc.constant(timeout),
        gaps: fc.array(fc.integer({ min: 0, max: interval + timeout - 1 }), { maxLength: 30 }),
      }),
    )

  const expectExactTimeout = (settings: fc.Arbitrary<[interval: number, timeout: number]>) =>
    fc.assert(
      fc.property(gapsWithin(settings), ({ gaps, ...options }) => {
        expect(timeoutAfter(options, gaps)).toBe(options.interval + options.timeout)
      }),
      { numRuns: 300 },
    )

  const long = fc.integer({ min: 1_000, max: 30_000 })

  test('is interval + timeout after the last message, whenever that was', () => {
    const settings = fc.tuple(long, long).map(([a, b]): [number, number] => [Math.max(a, b), Math.min(a, b)])
    expectExactTimeout(settings)
  })

  test('also holds if timeout is longer than interval', () => {
    expect(timeoutAfter({ interval: 5_000, timeout: 10_000 }, [5_100])).toBe(15_000)
    const settings = fc.tuple(long, long).map(([a, b]): [number, number] => [Math.min(a, b), Math.max(a, b)])
    expectExactTimeout(settings)
  })

  test('is not extended by probes', () => {
    const probes = fc.array(fc.integer({ min: 0, max: INTERVAL + TIMEOUT }), { maxLength: 10 })
    fc.assert(
      fc.property(probes, times => {
        vi.clearAllTimers()
        const { timeouts, probe } = start()
        let now = 0
        for (const time of times.toSorted((a, b) => a - b)) {
          pass(time - now)
          now = time
          if (!timeouts.length) probe()
        }
        pass(INTERVAL + TIMEOUT - now)
        expect(timeouts).toHaveLength(1)
      }),
    )
  })

  test('is not extended by probes if timeout is shorter than their own deadline', () => {
    const { timeouts, probe } = start({ interval: 25_000, timeout: 1_000 })
    pass(24_000)
    probe()
    pass(2_000)
    expect(timeouts).toHaveLength(1)
  })

  test('never passes for a peer that replies, whenever it is probed', () => {
    const { timeouts, pings, receive, probe } = start()
    const probeTimes = [100, 2_900, 3_100, 9_999, 24_999, 25_000, 25_001, 40_000, 70_000]
    let now = 0
    for (const time of probeTimes) {
      pass(time - now)
      now = time
      probe()
      pass(1)
      now++
      receive()
    }
    pass(INTERVAL - 1)
    expect(timeouts).toEqual([])
    expect(pings.length).toBeGreaterThanOrEqual(probeTimes.length)
  })
})

describe('a heartbeat timer that fires late', () => {
  const CLOCKS = ['stops', 'continues'] as const

  describe.each(CLOCKS)('with a monotonic clock that %s during sleep', clock => {
    test('during the interval causes a ping with the full timeout', () => {
      const { pings, timeouts } = start()
      pass(INTERVAL - 100)
      sleep(3_600_000, clock)
      pass(100)
      expect(pings).toHaveLength(1)
      pass(TIMEOUT - 1)
      expect(timeouts).toEqual([])
      pass(1)
      expect(timeouts).toHaveLength(1)
    })

    test('at the deadline causes another ping instead of a timeout', () => {
      const { pings, timeouts } = start()
      pass(INTERVAL + TIMEOUT - 100)
      expect(pings).toHaveLength(1)
      sleep(3_600_000, clock)
      pass(100)
      expect(timeouts).toEqual([])
      expect(pings).toHaveLength(2)
      pass(TIMEOUT - 1)
      expect(timeouts).toEqual([])
      pass(1)
      expect(timeouts).toHaveLength(1)
    })

    test('has no effect if a reply has arrived', () => {
      const { timeouts, receive } = start()
      pass(INTERVAL + TIMEOUT - 100)
      sleep(3_600_000, clock)
      pass(100)
      receive('pong')
      pass(TIMEOUT + INTERVAL - 1)
      expect(timeouts).toEqual([])
    })

    test('causes a timeout the second time, so that a hidden page notices its dead connection', () => {
      const { pings, timeouts } = start()
      pass(INTERVAL + TIMEOUT - 100)
      sleep(60_000, clock)
      pass(100)
      expect([pings.length, timeouts.length]).toEqual([2, 0])
      pass(TIMEOUT - 100)
      sleep(60_000, clock)
      pass(100)
      expect([pings.length, timeouts.length]).toEqual([2, 1])
    })

    test('causes a timeout after at most three pings in every phase', () => {
      const { pings, timeouts } = start()
      for (let wake = 0; wake < 10 && !timeouts.length; wake++) {
        sleep(60_000, clock)
        vi.advanceTimersToNextTimer()
      }
      expect(timeouts).toHaveLength(1)
      expect(pings.length).toBeLessThanOrEqual(3)
    })

    test('after a reply counts as the first one again', () => {
      const { pings, timeouts, receive } = start()
      for (let round = 0; round < 5; round++) {
        const { length } = pings
        passUntil(() => pings.length > length)
        sleep(60_000, clock)
        vi.advanceTimersToNextTimer()
        expect(pings).toHaveLength(length + 2)
        receive('pong')
      }
      expect(timeouts).toEqual([])
    })
  })

  test.each([
    [999, 'causes a timeout, because any timer may be that late', 1],
    [1_001, 'causes another ping', 0],
  ])('by %d ms %s', (lateness, _, deaths) => {
    const { timeouts } = start()
    pass(INTERVAL + TIMEOUT - 100)
    sleep(lateness, 'continues')
    pass(100)
    expect(timeouts).toHaveLength(deaths)
  })

  test('is not recognized if the wall clock was set back', () => {
    const { timeouts } = start()
    pass(INTERVAL)
    vi.setSystemTime(Date.now() - 3_600_000)
    pass(TIMEOUT)
    expect(timeouts).toHaveLength(1)
  })
})

describe('a probe', () => {
  test('pings at once and causes a timeout after three seconds', () => {
    const { pings, timeouts, probe } = start()
    pass(1_000)
    probe()
    expect(pings).toEqual([1_000])
    pass(PROBE - 1)
    expect(timeouts).toEqual([])
    pass(1)
    expect(timeouts).toEqual([1_000 + PROBE])
  })

  test('that gets a reply is followed by the next ping one interval after the reply', () => {
    const { pings, timeouts, receive, probe } = start()
    pass(1_000)
    probe()
    pass(100)
    receive('pong')
    pass(INTERVAL)
    expect([pings, timeouts]).toEqual([[1_000, 1_100 + INTERVAL], []])
  })

  test('is sent once for several probes in a row', () => {
    const { pings, timeouts, probe } = start()
    pass(1_000)
    probe()
    probe()
    pass(300)
    probe()
    pass(2_000)
    probe()
    expect(pings).toEqual([1_000])
    pass(700)
    expect(timeouts).toEqual([1_000 + PROBE])
  })

  test('shortens the deadline of a ping that was already sent', () => {
    const { pings, timeouts, probe } = start()
    pass(INTERVAL + 1_000)
    probe()
    expect(pings).toEqual([INTERVAL, INTERVAL + 1_000])
    pass(PROBE)
    expect(timeouts).toEqual([INTERVAL + 1_000 + PROBE])
  })

  test('does not extend an earlier deadline', () => {
    const { pings, timeouts, probe } = start()
    pass(INTERVAL + TIMEOUT - 1_000)
    probe()
    expect(pings).toEqual([INTERVAL])
    pass(1_000)
    expect(timeouts).toEqual([INTERVAL + TIMEOUT])
  })

  test('is sent again after the last one got a reply', () => {
    const { pings, receive, probe } = start()
    pass(1_000)
    probe()
    pass(100)
    receive('pong')
    pass(100)
    probe()
    expect(pings).toEqual([1_000, 1_200])
  })

  test('is sent when the process slept past the running deadline', () => {
    const { pings, timeouts, probe } = start()
    pass(INTERVAL + TIMEOUT - 1_000)
    sleep(3_600_000, 'continues')
    probe()
    expect(pings).toHaveLength(2)
    pass(PROBE - 1)
    expect(timeouts).toEqual([])
    pass(1)
    expect(timeouts).toHaveLength(1)
  })

  test('does nothing without a message option', () => {
    const { pings, timeouts, probe } = start({}, SILENT)
    pass(1_000)
    probe()
    pass(INTERVAL + TIMEOUT - 1_001)
    expect([pings, timeouts]).toEqual([[], []])
    pass(1)
    expect(timeouts).toEqual([INTERVAL + TIMEOUT])
  })
})

describe('heartbeat replies', () => {
  test('are recognized by isReply, other messages are not', () => {
    const { receive } = start()
    expect(receive('pong')).toBe(true)
    expect(receive('news')).toBe(false)
    expect(receive(new ArrayBuffer(2))).toBe(false)
  })

  test('measure the round trip', () => {
    const { receive, measured } = start()
    pass(INTERVAL)
    expect(measured).toEqual([])
    pass(120)
    receive('pong')
    expect(measured).toEqual([120])
  })

  test('measure each ping separately, by the timestamps of their events', () => {
    const { pings, onMessage, receive, measured } = start()
    pass(INTERVAL)
    const timeStamp = performance.now() + 80
    // The page was busy when it arrived.
    pass(500)
    onMessage({ data: 'pong', timeStamp })
    passUntil(() => pings.length === 2)
    pass(30)
    receive('pong')
    expect(measured).toEqual([80, 30])
  })

  test('measure probes, too', () => {
    const { receive, measured, probe } = start()
    pass(1_000)
    probe()
    pass(45)
    receive('pong')
    expect(measured).toEqual([45])
  })

  test('measure from the last ping, even if another message answered the one before', () => {
    const { pings, receive, measured } = start()
    pass(INTERVAL + 40)
    receive('news')
    passUntil(() => pings.length === 2)
    pass(30)
    receive('pong')
    expect(measured).toEqual([30])
  })

  test('without a ping are hidden from listeners, and measure nothing', () => {
    const { receive, measured } = start()
    pass(1_000)
    expect(receive('pong')).toBe(true)
    expect(measured).toEqual([])
  })

  test('measure nothing without a message option', () => {
    const { receive, measured } = start({}, SILENT)
    pass(INTERVAL + 40)
    expect(receive('pong')).toBe(true)
    expect(measured).toEqual([])
  })

  test('are not required: other messages also keep the connection, but measure nothing', () => {
    const { receive, measured } = start()
    pass(INTERVAL + 40)
    receive('news')
    expect(measured).toEqual([])
    pass(60)
    receive('pong')
    expect(measured).toEqual([100])
  })
})

describe('messages with event timestamps of another clock', () => {
  /** The kinds of events, and their timestamps. */
  const EVENTS: [whose: string, timeStamp: () => object][] = [
    ['without one, as from the ws package', () => ({})],
    ['undefined', () => ({ timeStamp: undefined })],
    ['from the wall clock, as from mock-socket', () => ({ timeStamp: Date.now() })],
  ]

  describe.each(EVENTS)('%s', (_, time) => {
    test('keep the connection when they arrive', () => {
      const { onMessage, pings, timeouts } = start()
      pass(20_000)
      onMessage({ data: 'news', ...time() })
      pass(INTERVAL - 1)
      expect(pings).toEqual([INTERVAL])
      pass(1)
      expect(pings).toEqual([INTERVAL, 20_000 + INTERVAL])
      pass(TIMEOUT)
      expect(timeouts).toEqual([20_000 + INTERVAL + TIMEOUT])
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
    const { length } = subject.pings
    pass(10 * INTERVAL)
    expect(subject.pings).toHaveLength(length)
    expect(subject.timeouts).toEqual([])
  })

  test('prevents later messages from starting it again', () => {
    const { receive, stop } = start()
    stop()
    receive()
    receive('pong')
    expect(vi.getTimerCount()).toBe(0)
  })

  test('is possible while it pings', () => {
    const dead = vi.fn()
    const heartbeat = startHeartbeat(
      { interval: INTERVAL, timeout: TIMEOUT, ...PINGS },
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
  /** Counts the timers that are set within this time. */
  const timersSet = (time: number) => {
    const set = vi.spyOn(globalThis, 'setTimeout')
    pass(time)
    return set.mock.calls.length
  }

  test.each([2 ** 31, 1e12, Infinity])('of interval = %d ms cause no ping and no busy loop', interval => {
    const { pings, timeouts } = start({ interval })
    expect(timersSet(2e9)).toBeLessThanOrEqual(2)
    expect(vi.getTimerCount()).toBe(interval < Infinity ? 1 : 0)
    expect([pings.length, timeouts.length]).toEqual([0, 0])
  })

  test('of interval = 2^31 ms, more than a timer accepts, cause a ping at the right time', () => {
    const { pings } = start({ interval: 2 ** 31 })
    pass(2 ** 31 + 1)
    expect(pings).toEqual([2 ** 31])
  })

  test.each([2 ** 31, Infinity])('of timeout = %d ms cause no early timeout', timeout => {
    const { pings, timeouts } = start({ timeout })
    pass(INTERVAL + 2e9)
    expect(pings.length).toBeGreaterThan(0)
    expect(timeouts).toEqual([])
  })

  test('use one timer, which messages do not restart', () => {
    const { receive } = start()
    const set = vi.spyOn(globalThis, 'setTimeout')
    for (let message = 0; message < 1_000; message++) receive()
    expect(set).not.toHaveBeenCalled()
    expect(vi.getTimerCount()).toBe(1)
  })
})

describe('a slow connection', () => {
  test('is not dead while bytes ahead of the ping leave, and the timeout starts when they have left', () => {
    const bytes = { left: 0, buffered: 5_000 }
    const { timeouts } = start({}, PINGS, undefined, bytes)
    pass(INTERVAL)
    for (let second = 0; second < 5; second++) {
      pass(TIMEOUT - 1)
      expect(timeouts).toEqual([])
      bytes.left += 1_000
      bytes.buffered -= 1_000
      pass(1)
    }
    pass(TIMEOUT - 1)
    expect(timeouts).toEqual([])
    pass(1)
    expect(timeouts).toEqual([INTERVAL + 6 * TIMEOUT])
  })

  test('is dead when nothing ahead of the ping leaves', () => {
    const { timeouts } = start({}, PINGS, undefined, { left: 0, buffered: 5_000 })
    pass(INTERVAL + TIMEOUT)
    expect(timeouts).toEqual([INTERVAL + TIMEOUT])
  })

  test('is dead at the deadline if only bytes behind the ping leave, because the operating system accepts those for a dead peer too', () => {
    const bytes = { left: 0, buffered: 0 }
    const { timeouts } = start({}, PINGS, undefined, bytes)
    for (let time = 0; time < INTERVAL + TIMEOUT; time += 100) {
      bytes.left += 100
      pass(100)
    }
    expect(timeouts).toEqual([INTERVAL + TIMEOUT])
  })

  test('has twice the timeout after each dead connection in a row, up to a minute', () => {
    const memory = { timeouts: 0 }
    const waits = Array.from({ length: 5 }, () => {
      const { timeouts } = start({}, PINGS, memory)
      pass(INTERVAL + 120_000)
      return (timeouts[0] as number) - INTERVAL
    })
    expect(waits).toEqual([10_000, 20_000, 40_000, 60_000, 60_000])
  })

  test('has the usual timeout again after a ping was answered', () => {
    const memory = { timeouts: 3 }
    const { receive } = start({}, PINGS, memory)
    pass(INTERVAL)
    receive('pong')
    expect(memory.timeouts).toBe(0)
  })

  test('gets the usual timeout again once a ping was answered on a connection that is never silent', () => {
    const memory = { timeouts: 3 }
    const { receive, pings } = start({}, PINGS, memory)
    pass(INTERVAL - 1)
    receive()
    pass(1)
    expect(pings).toEqual([INTERVAL])
    receive('pong')
    expect(memory.timeouts).toBe(0)
  })

  test('never has a negative latency, whatever clock the events use', () => {
    const { onMessage, measured } = start()
    pass(INTERVAL)
    onMessage({ data: 'pong', timeStamp: performance.now() - 4_850 })
    expect(measured).toEqual([0])
  })
})
