import { afterEach, describe, expect, test, vi } from 'vitest'
import { type BackoffOptions, backoff } from '../../src/core/retry.ts'

/** Round numbers, independent of the defaults, which may change. */
const OPTIONS = { base: 1_000, max: 10_000, spread: 4_000 }

/** The largest number that `Math.random()` can return. */
const ALMOST_ONE = 1 - 2 ** -53

interface Loss {
  attempt?: number
  /** The code of the SocketError. */
  errorCode?: string
  /** The code and reason of the close frame, if there was one. */
  code?: number
  reason?: string
}

/** Returns the delay of `backoff()` for this loss, by default with the options above and a random number of 0.5. */
const delayAfter = (
  { attempt = 1, errorCode = 'CONNECTION_LOST', code, reason = '' }: Loss,
  options: BackoffOptions = {},
): number | false =>
  backoff({ ...OPTIONS, random: () => 0.5, ...options })({
    attempt,
    cause: { code: errorCode, close: code === undefined ? undefined : { code, reason } },
    uptime: 0,
    elapsed: 0,
  })

/** The upper bound of the delay for this loss. */
const bound = (loss: Loss, options: BackoffOptions = {}) =>
  Math.ceil(delayAfter(loss, { random: () => ALMOST_ONE, ...options }) as number)

/** A random number generator with a seed (mulberry32). */
const seeded = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1)
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
}

/** The first loss after a long connection, with this close code. */
const lossOf = (code: number) => ({
  attempt: 1,
  cause: { code: 'CONNECTION_LOST', close: { code, reason: '' } },
  uptime: 60_000,
  elapsed: 0,
})

/** How many of 10,000 clients reconnect in the busiest tenth of a second after a restart. */
const busiestTenth = (options: BackoffOptions) => {
  const retry = backoff({ ...options, random: seeded(7) })
  const windows: number[] = []
  for (let client = 0; client < 10_000; client++) {
    const window = Math.floor((retry(lossOf(1012)) as number) / 100)
    windows[window] = (windows[window] ?? 0) + 1
  }
  return Math.max(...windows.filter(Boolean))
}

afterEach(() => vi.restoreAllMocks())

describe('the delay of backoff()', () => {
  test('doubles with every consecutive attempt, up to max', () => {
    const bounds = [2, 3, 4, 5, 6, 7].map(attempt => bound({ attempt }))
    expect(bounds).toEqual([2_000, 4_000, 8_000, 10_000, 10_000, 10_000])
  })

  test.each([
    [0, 0],
    [0.5, 5_000],
    [ALMOST_ONE, 10_000],
  ])('is capped before jitter: at the cap, a random number of %d makes %d', (random, wait) => {
    expect(delayAfter({ attempt: 20 }, { random: () => random })).toBeCloseTo(wait, 3)
  })

  test('never reaches the cap, because a random number never reaches 1', () => {
    expect(delayAfter({ attempt: 20 }, { random: () => ALMOST_ONE })).toBeLessThan(OPTIONS.max)
  })

  test.each([
    [0, 0],
    [0.5, 1_000],
    [ALMOST_ONE, 2_000],
  ])('has full jitter below the cap: a random number of %d makes %d of 2,000', (random, wait) => {
    expect(delayAfter({ attempt: 2 }, { random: () => random })).toBeCloseTo(wait, 3)
  })

  test('uses base and max from the options', () => {
    const options = { base: 10, max: 35 }
    expect([1, 2, 3, 4].map(attempt => bound({ attempt, errorCode: 'CONNECT_TIMEOUT' }, options))).toEqual([
      10, 20, 35, 35,
    ])
  })

  test('does not depend on the cause from the second attempt in a row', () => {
    for (const loss of [{ code: 1006 }, { code: 1012 }, { code: 1011 }, { errorCode: 'UNRESPONSIVE' }]) {
      expect(bound({ attempt: 2, ...loss })).toBe(2_000)
    }
  })

  test('is short after reconnect(), even if attempts have failed before', () => {
    for (const attempt of [1, 2, 20]) expect(bound({ attempt, errorCode: 'RECONNECT_REQUESTED' })).toBe(300)
  })

  test.each([1_000, 1_025, 5_000, Number.MAX_SAFE_INTEGER])(
    'is finite and within bounds on attempt %d',
    attempt => {
      for (const random of [0, 0.5, ALMOST_ONE]) {
        const wait = delayAfter({ attempt }, { random: () => random }) as number
        expect(Number.isFinite(wait)).toBe(true)
        expect(wait).toBeGreaterThanOrEqual(0)
        expect(wait).toBeLessThanOrEqual(OPTIONS.max)
      }
    },
  )

  test('is 0 if base is 0, on attempt 5,000 as on the second', () => {
    expect(delayAfter({ attempt: 2 }, { base: 0 })).toBe(0)
    expect(delayAfter({ attempt: 5_000 }, { base: 0 })).toBe(0)
  })

  test('is spread evenly between 0 and the cap', () => {
    const random = seeded(42)
    const waits = Array.from({ length: 10_000 }, () => delayAfter({ attempt: 20 }, { random }) as number)
    const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length
    expect(mean).toBeGreaterThan(4_900)
    expect(mean).toBeLessThan(5_100)
    const tenths = new Array(10).fill(0)
    for (const wait of waits) tenths[Math.floor(wait / 1_000)]++
    expect(tenths).toHaveLength(10)
    for (const share of tenths) {
      expect(share).toBeGreaterThan(850)
      expect(share).toBeLessThan(1_150)
    }
  })

  test('is random for each loss', () => {
    const random = vi.fn(seeded(1))
    const retry = backoff({ ...OPTIONS, random })
    const context = { attempt: 4, cause: { code: 'CONNECTION_LOST' }, uptime: 0, elapsed: 0 }
    const waits = new Set(Array.from({ length: 100 }, () => retry(context)))
    expect(waits.size).toBe(100)
    expect(random).toHaveBeenCalledTimes(100)
  })

  test('uses no random number before there is a loss', () => {
    const random = vi.fn(() => 0)
    const platform = vi.spyOn(Math, 'random')
    backoff()
    backoff({ random })
    expect(random).not.toHaveBeenCalled()
    expect(platform).not.toHaveBeenCalled()
  })

  test('uses Math.random by default', () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.25)
    const retry = backoff(OPTIONS)
    expect(retry({ attempt: 20, cause: { code: 'CONNECTION_LOST' }, uptime: 0, elapsed: 0 })).toBe(2_500)
  })

  test('has no state, so that one policy can serve any number of sockets', () => {
    const retry = backoff({ ...OPTIONS, random: () => 0.5 })
    const waits = [5, 2, 5, 2].map(attempt =>
      retry({ attempt, cause: { code: 'CONNECTION_LOST' }, uptime: 0, elapsed: 0 }),
    )
    expect(waits).toEqual([5_000, 1_000, 5_000, 1_000])
  })
})

describe('the first delay', () => {
  test.each([1001, 1011, 1012, 1013])(
    'after a close with %d, which every client gets, is spread out',
    code => {
      expect(bound({ code })).toBe(OPTIONS.spread)
      expect(delayAfter({ code }, { random: () => 0 })).toBe(0)
      expect(bound({ code }, { spread: 60_000 })).toBe(60_000)
    },
  )

  test.each(['UNRESPONSIVE', 'RECONNECT_REQUESTED', 'PAGE_HIDDEN'])(
    'after %s, which concerns one client, is at most 300 ms',
    errorCode => {
      expect(bound({ errorCode })).toBeLessThanOrEqual(300)
      expect(bound({ errorCode })).toBeGreaterThan(0)
      // Without a close frame, the code of such a loss may be 1006.
      expect(bound({ errorCode, code: 1006 })).toBeLessThanOrEqual(300)
    },
  )

  test.each([
    // A connection that was lost without a close frame was usually lost by one client alone.
    { code: 1006 },
    // A failed attempt is not a lost connection.
    { errorCode: 'CONNECTION_REFUSED', code: 1006 },
    { errorCode: 'PREPARE_FAILED', code: 1012 },
    { errorCode: 'CONNECT_TIMEOUT' },
    { errorCode: 'ENDPOINT_FAILED' },
    { errorCode: 'PREPARE_FAILED' },
    { code: 1000 },
    { code: 1005 },
    { code: 4000 },
    { code: 4408 },
    { code: 4999 },
  ])('after any other loss is at most base: %o', loss => {
    expect(bound(loss)).toBe(OPTIONS.base)
  })

  // A median of 1.5 s cannot stay below 3.33 %: half of the fleet in fifteen tenths of a second.
  test('brings back at most 4.5 % of a fleet in any tenth of a second after a restart', () => {
    expect(busiestTenth({})).toBeLessThanOrEqual(450)
  })

  test('brings back at most 3 % of a fleet in any tenth of a second after a restart if the spread is 13 s', () => {
    expect(busiestTenth({ spread: 13_000 })).toBeLessThanOrEqual(300)
  })

  test.each([1001, 1012, 1013])(
    'of one client after %d has a median of at most 1.5 s and a 99th percentile of at most 5 s by default',
    code => {
      expect(backoff({ random: () => 0.5 })(lossOf(code))).toBeLessThanOrEqual(1_500)
      expect(backoff({ random: () => 0.99 })(lossOf(code))).toBeLessThanOrEqual(5_000)
    },
  )

  test('of one client has a median of less than a second by default', () => {
    for (const code of ['CONNECTION_LOST', 'CONNECTION_REFUSED']) {
      const wait = backoff({ random: () => 0.5 })({ attempt: 1, cause: { code }, uptime: 0, elapsed: 0 })
      expect(wait).toBeLessThanOrEqual(1_000)
    }
  })
})

describe('giving up', () => {
  const final = (code: number) =>
    [1002, 1003, 1007, 1008, 1009, 1010, 3000, 3003].includes(code) ||
    (code >= 4400 && code <= 4499 && ![4408, 4425, 4429].includes(code))

  test('follows the documented list for every close code from 1000 to 4999', () => {
    const wrong: number[] = []
    for (let code = 1000; code <= 4999; code++) {
      if ((delayAfter({ code }) === false) !== final(code)) wrong.push(code)
    }
    expect(wrong).toEqual([])
  })

  test('happens after a final code at any attempt', () => {
    for (const attempt of [1, 2, 100]) expect(delayAfter({ attempt, code: 1008 })).toBe(false)
  })

  test('does not happen after a refused handshake, whatever code the platform reports: in Bun 1.2, 401 and 502 are 1002', () => {
    for (const code of [1002, 1006, 1008]) {
      expect(delayAfter({ errorCode: 'CONNECTION_REFUSED', code, reason: 'Expected 101 status code' })).toBe(
        500,
      )
    }
  })

  test.each([
    'CONNECTION_LOST',
    'CONNECTION_REFUSED',
    'CONNECT_TIMEOUT',
    'ENDPOINT_FAILED',
    'PREPARE_FAILED',
    'PAGE_HIDDEN',
    'RECONNECT_REQUESTED',
    'UNRESPONSIVE',
  ])('never happens after %s without a close frame', errorCode => {
    for (const attempt of [1, 2, 10, 5_000]) expect(delayAfter({ errorCode, attempt })).not.toBe(false)
  })

  test.each([
    [0, [false, false]],
    [1, [500, false]],
    [3, [500, 1_000, 2_000, false, false]],
  ])('happens after as many attempts in a row as the option allows: %d', (attempts, waits) => {
    const asked = waits.map((_, index) =>
      delayAfter({ errorCode: 'CONNECT_TIMEOUT', attempt: index + 1 }, { attempts }),
    )
    expect(asked).toEqual(waits)
  })

  test('uses no random number', () => {
    const random = vi.fn(() => 0)
    delayAfter({ code: 1008 }, { random })
    delayAfter({ attempt: 2 }, { random, attempts: 1 })
    expect(random).not.toHaveBeenCalled()
  })
})

describe('retry-after in a close reason', () => {
  test.each([1012, 1013])('sets the delay after %d, with jitter added', code => {
    const loss = { code, reason: 'retry-after=5' }
    expect(delayAfter(loss, { random: () => 0 })).toBe(5_000)
    expect(delayAfter(loss)).toBeGreaterThan(5_500)
    expect(bound(loss)).toBe(9_000)
  })

  test('gets the jitter of spread', () => {
    const loss = { code: 1013, reason: 'retry-after=5' }
    expect(delayAfter(loss, { spread: 0 })).toBe(5_000)
    expect(bound(loss, { spread: 60_000 })).toBe(65_000)
  })

  test('sets the delay at any attempt, even beyond max', () => {
    expect(delayAfter({ attempt: 9, code: 1012, reason: 'retry-after=3600' }, { random: () => 0 })).toBe(
      3_600_000,
    )
  })

  test('may be 0', () => {
    const loss = { attempt: 9, code: 1012, reason: 'retry-after=0' }
    expect(delayAfter(loss, { random: () => 0 })).toBe(0)
    expect(bound(loss)).toBe(OPTIONS.spread)
  })

  test('does not override the limit of attempts', () => {
    expect(delayAfter({ attempt: 2, code: 1012, reason: 'retry-after=5' }, { attempts: 1 })).toBe(false)
  })

  test('is ignored after any other code', () => {
    const wrong: number[] = []
    for (let code = 1000; code <= 4999; code++) {
      if (code === 1012 || code === 1013) continue
      if (delayAfter({ code, reason: 'retry-after=5' }) !== delayAfter({ code })) wrong.push(code)
    }
    expect(wrong).toEqual([])
  })

  test.each([
    'retry-after=',
    'retry-after=soon',
    'retry-after=-5',
    'retry-after=1.5',
    'retry-after=1e3',
    'retry-after=0x10',
    'retry-after= 5',
    'retry-after=5 ',
    'retry-after=5s',
    'retry-after=5\n',
    ' retry-after=5',
    'Retry-After: 5',
    'please retry-after=5',
    'retry-after=٥',
    'retry-after=Infinity',
    '5',
  ])('is ignored if it is malformed: %j', reason => {
    expect(delayAfter({ attempt: 3, code: 1012, reason })).toBe(delayAfter({ attempt: 3, code: 1012 }))
  })

  test('with 111 digits, the most that fit into a close frame, is still a number', () => {
    const wait = delayAfter({ code: 1012, reason: `retry-after=${'9'.repeat(111)}` })
    expect(wait).toBeGreaterThan(1e9)
    expect(Number.isFinite(wait)).toBe(true)
  })
})
