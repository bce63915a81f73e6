import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SocketError } from '../../src/core/errors.ts'
import {
  failures,
  handoverTable,
  type Input,
  pageTable,
  type State,
  transition as transitionIn,
} from '../../src/core/states.ts'

/** The next state of a socket that observes page events, from both parts of the table. */
const transition = (state: State, input: Input) =>
  transitionIn(state, input) ??
  transitionIn(state, input, pageTable) ??
  transitionIn(state, input, handoverTable)

type Name = State['name']
type Type = Input['type']
type Of<Union extends { name: string }, Key> = Extract<Union, { name: Key }>

/** Freezes an object, so that a write throws. */
const frozen = <Thing extends object>(thing: Thing): Thing => Object.freeze(thing)

const why = frozen(new SocketError('CONNECTION_LOST', 'the state’s own'))
const because = frozen(new SocketError('CONNECTION_REFUSED', 'the input’s'))

/** A state of each name. Its numbers show from where a field of the next state was copied. */
const states: { readonly [Key in Name]: Of<State, Key> } = frozen({
  closed: frozen({ name: 'closed', cause: why }),
  connecting: frozen({ name: 'connecting', attempt: 3, cause: why }),
  open: frozen({ name: 'open', attempt: 3, since: 500, url: 'wss://a.test/', protocol: 'p' }),
  waiting: frozen({ name: 'waiting', attempt: 3, delay: 1_000, until: 2_000, cause: why }),
  closing: frozen({ name: 'closing', code: 4_000, reason: 'bye', cause: why }),
})

/** An input of each type. */
const inputs: { readonly [Key in Type]: Extract<Input, { type: Key }> } = frozen({
  connect: frozen({ type: 'connect' }),
  opened: frozen({ type: 'opened', now: 1_500, url: 'wss://b.test/', protocol: 'q' }),
  lost: frozen({ type: 'lost', now: 1_500, cause: because, attempt: 4, delay: 700 }),
  wake: frozen({ type: 'wake', now: 1_500, delay: 100 }),
  offline: frozen({ type: 'offline', now: 1_500, delay: 30_000 }),
  sleep: frozen({ type: 'sleep', cause: because }),
  replace: frozen({ type: 'replace', now: 1_500, url: 'wss://b.test/', protocol: 'q' }),
  continue: frozen({ type: 'continue', cause: because }),
  close: frozen({ type: 'close', code: 4_001, reason: 'enough', cause: because }),
})

const names = Object.keys(states) as Name[]
const types = Object.keys(inputs) as Type[]

const asleep = { name: 'waiting', attempt: 3, delay: Infinity, until: Infinity }

/** The expected next state for each state and input. Inputs that are not listed are ignored. */
const table: { readonly [Key in Name]: { readonly [Key in Type]?: State } } = {
  closed: {
    connect: { name: 'connecting', attempt: 0 },
  },
  connecting: {
    opened: { name: 'open', attempt: 3, since: 1_500, url: 'wss://b.test/', protocol: 'q' },
    lost: { name: 'waiting', attempt: 4, delay: 700, until: 2_200, cause: because },
    sleep: { ...asleep, cause: because } as State,
    close: { name: 'closed', cause: because },
  },
  open: {
    lost: { name: 'waiting', attempt: 4, delay: 700, until: 2_200, cause: because },
    sleep: { ...asleep, attempt: 0, cause: because } as State,
    replace: { name: 'open', attempt: 0, since: 1_500, url: 'wss://b.test/', protocol: 'q' },
    continue: { name: 'connecting', attempt: 1, cause: because },
    close: { name: 'closing', code: 4_001, reason: 'enough', cause: because },
  },
  waiting: {
    connect: { name: 'connecting', attempt: 3, cause: why },
    wake: { name: 'waiting', attempt: 3, delay: 100, until: 1_600, cause: why },
    offline: { name: 'waiting', attempt: 3, delay: 30_000, until: 31_500, cause: why },
    sleep: { ...asleep, cause: why } as State,
    close: { name: 'closed', cause: because },
  },
  closing: {
    connect: { name: 'connecting', attempt: 0 },
    lost: { name: 'closed', cause: why },
    sleep: { name: 'closed', cause: why },
  },
}

const show = (state: State | undefined) => state?.name ?? 'ignored'

describe('the transition table', () => {
  for (const name of names) {
    for (const type of types) {
      const expected = table[name][type]
      test(`${name} × ${type} → ${show(expected)}`, () => {
        const next = transition(states[name], inputs[type])
        if (expected) expect(next).toEqual(expected)
        else expect(next).toBeUndefined()
      })
    }
  }

  test('passes causes on as they are, without a copy', () => {
    for (const name of names) {
      for (const type of types) {
        const expected = table[name][type]
        const next = transition(states[name], inputs[type])
        if (expected && 'cause' in expected && next && 'cause' in next)
          expect(next.cause).toBe(expected.cause)
      }
    }
  })
})

describe('the state closed', () => {
  test('without a cause, before the first attempt, can be closed for good', () => {
    const next = transition(frozen({ name: 'closed' }), inputs.close)
    expect(next).toEqual({ name: 'closed', cause: because })
  })

  test('with a cause keeps it: the first reason counts', () => {
    expect(transition(states.closed, inputs.close)).toBeUndefined()
  })

  test('followed by connect forgets the cause and the number of failures', () => {
    const next = transition(states.closed, inputs.connect)
    expect(next).toMatchObject({ name: 'connecting', attempt: 0 })
    expect((next as Of<State, 'connecting'>).cause).toBeUndefined()
  })
})

describe('the input lost', () => {
  test.each(['connecting', 'open'] as const)('closes %s if the policy gives up', name => {
    const next = transition(states[name], frozen({ ...inputs.lost, delay: false }))
    expect(next).toEqual({ name: 'closed', cause: because })
  })

  test.each(['connecting', 'open'] as const)(
    'moves %s to waiting with a delay of 0, because only `false` means to give up',
    name => {
      const next = transition(states[name], frozen({ ...inputs.lost, delay: 0 }))
      expect(next).toEqual({ name: 'waiting', attempt: 4, delay: 0, until: 1_500, cause: because })
    },
  )

  test.each(['connecting', 'open'] as const)(
    'with an infinite delay moves %s to waiting until the page wakes up',
    name => {
      const next = transition(states[name], frozen({ ...inputs.lost, delay: Infinity }))
      expect(next).toMatchObject({ name: 'waiting', delay: Infinity, until: Infinity })
    },
  )

  test('moves from closing to closed, whatever the policy returns, with the cause of the closing', () => {
    for (const delay of [0, 1_000, Infinity, false] as const) {
      expect(transition(states.closing, frozen({ ...inputs.lost, delay }))).toEqual({
        name: 'closed',
        cause: why,
      })
    }
  })
})

describe('the state waiting', () => {
  const waiting = (delay: number, until: number): State => frozen({ ...states.waiting, delay, until })

  test('is shortened by wake to its delay, but wake does not connect', () => {
    const next = transition(waiting(60_000, 61_000), frozen({ type: 'wake', now: 1_000, delay: 150 }))
    expect(next).toEqual({ name: 'waiting', attempt: 3, delay: 150, until: 1_150, cause: why })
  })

  test('without an end is ended by wake', () => {
    const next = transition(waiting(Infinity, Infinity), frozen({ type: 'wake', now: 1_000, delay: 150 }))
    expect(next).toEqual({ name: 'waiting', attempt: 3, delay: 150, until: 1_150, cause: why })
  })

  test.each([
    ['sooner than its delay', 1_100],
    ['at the same moment', 1_150],
  ])('is not changed by wake if it ends %s', (_, until) => {
    expect(transition(waiting(500, until), frozen({ type: 'wake', now: 1_000, delay: 150 }))).toBeUndefined()
  })

  test('is restarted by wake if it should have ended, because its timer slept with the process', () => {
    const next = transition(waiting(500, 900), frozen({ type: 'wake', now: 1_000, delay: 150 }))
    expect(next).toEqual({ name: 'waiting', attempt: 3, delay: 150, until: 1_150, cause: why })
  })

  test('is lengthened by offline to its delay', () => {
    const next = transition(waiting(500, 1_500), frozen({ type: 'offline', now: 1_000, delay: 30_000 }))
    expect(next).toEqual({ name: 'waiting', attempt: 3, delay: 30_000, until: 31_000, cause: why })
  })

  test.each([
    ['later than its delay', 60_000],
    ['at the same moment', 31_000],
    ['only when woken', Infinity],
  ])('is not changed by offline if it ends %s', (_, until) => {
    expect(
      transition(waiting(500, until), frozen({ type: 'offline', now: 1_000, delay: 30_000 })),
    ).toBeUndefined()
  })

  test('is not changed by offline without a delay, as for an address that needs no network', () => {
    expect(transition(states.waiting, frozen({ type: 'offline', now: 1_500, delay: 0 }))).toBeUndefined()
  })

  test('without an end is not changed by sleep', () => {
    expect(transition(waiting(Infinity, Infinity), inputs.sleep)).toBeUndefined()
  })

  test('keeps its failures and its cause through offline, sleep and wake', () => {
    const inputSequence: Input[] = [
      { type: 'offline', now: 1_500, delay: 30_000 },
      { type: 'sleep', cause: because },
      { type: 'wake', now: 90_000, delay: 0 },
      { type: 'connect' },
    ]
    const last = inputSequence.reduce<State>(
      (state, input) => transition(state, frozen(input)) as State,
      states.waiting,
    )
    expect(last).toEqual({ name: 'connecting', attempt: 3, cause: why })
  })
})

describe('the transition function', () => {
  const time = fc.nat()
  const delay = fc.oneof(fc.nat(), fc.constantFrom(0, Infinity))
  const attempt = fc.nat(10_000)
  const cause = fc.constantFrom(why, because)
  const text = fc.string()
  const code = fc.option(fc.integer({ min: 3_000, max: 4_999 }), { nil: undefined })
  const reason = fc.option(text, { nil: undefined })
  const name = <Name extends string>(name: Name) => fc.constant(name)

  const anyState: fc.Arbitrary<State> = fc.oneof(
    fc.constant<State>({ name: 'closed' }),
    fc.record({ name: name('closed'), cause }),
    fc.record({ name: name('connecting'), attempt, cause: fc.option(cause, { nil: undefined }) }),
    fc.record({ name: name('open'), attempt, since: time, url: text, protocol: text }),
    fc
      .record({ name: name('waiting'), attempt, delay, now: time, cause })
      .map(({ now, ...state }) => ({ ...state, until: now + state.delay })),
    fc.record({ name: name('closing'), code, reason, cause }),
  )
  const anyInput: fc.Arbitrary<Input> = fc.oneof(
    fc.constant<Input>({ type: 'connect' }),
    fc.record({ type: name('opened'), now: time, url: text, protocol: text }),
    fc.record({
      type: name('lost'),
      now: time,
      cause,
      attempt,
      delay: fc.oneof(delay, fc.constant(false as const)),
    }),
    fc.record({ type: name('wake'), now: time, delay }),
    fc.record({ type: name('offline'), now: time, delay }),
    fc.record({ type: name('sleep'), cause }),
    fc.record({ type: name('close'), code, reason, cause }),
  )

  test('changes neither the state nor the input, and gives the same result again', () => {
    fc.assert(
      fc.property(anyState, anyInput, (state, input) => {
        const next = transition(frozen(state), frozen(input))
        expect(transition(state, input)).toEqual(next)
        expect(next).not.toBe(state)
      }),
      { numRuns: 1_000 },
    )
  })

  test('uses no clock and no random number', () => {
    const { now } = Date
    const { random } = Math
    const forbidden = () => {
      throw new Error('the table is pure')
    }
    Date.now = Math.random = forbidden
    try {
      for (const state of Object.values(states))
        for (const input of Object.values(inputs)) transition(state, input)
    } finally {
      Date.now = now
      Math.random = random
    }
  })

  test('returns a state with the fields of its name, and no others', () => {
    const parts: Record<Name, string[]> = {
      closed: ['name', 'cause'],
      connecting: ['name', 'attempt', 'cause'],
      open: ['name', 'attempt', 'since', 'url', 'protocol'],
      waiting: ['name', 'attempt', 'delay', 'until', 'cause'],
      closing: ['name', 'code', 'reason', 'cause'],
    }
    fc.assert(
      fc.property(anyState, anyInput, (state, input) => {
        const next = transition(state, input)
        if (next) expect(Object.keys(next).filter(part => !parts[next.name].includes(part))).toEqual([])
        if (next?.name === 'waiting') {
          expect(next.delay).toBeGreaterThanOrEqual(0)
          expect(next.until).toBeGreaterThanOrEqual(next.delay)
        }
      }),
      { numRuns: 1_000 },
    )
  })

  test('depends only on the name and the type, except for delays and the close before the first attempt', () => {
    const conditional = new Set([
      'closed close',
      'waiting wake',
      'waiting offline',
      'waiting sleep',
      'open lost',
    ])
    fc.assert(
      fc.property(anyState, anyInput, (state, input) => {
        if (conditional.has(`${state.name} ${input.type}`)) return
        expect(transition(state, input) !== undefined).toBe(table[state.name][input.type] !== undefined)
      }),
      { numRuns: 1_000 },
    )
  })
})

describe('the number of failures in a row', () => {
  test.each([0, 1, 7])('is one more than %d after a failed attempt', attempt => {
    expect(failures(frozen({ name: 'connecting', attempt }), 0, 5_000)).toBe(attempt + 1)
  })

  test.each([
    [0, 8],
    [4_999, 8],
    [5_000, 1],
    [3_600_000, 1],
  ])('is, after a connection that lasted %d ms of at least 5,000, %d', (uptime, expected) => {
    expect(failures(frozen({ ...states.open, attempt: 7 }), uptime, 5_000)).toBe(expected)
  })

  test('is 1 if the first connection is lost at once', () => {
    expect(failures(frozen({ ...states.open, attempt: 0 }), 0, 5_000)).toBe(1)
  })

  test('starts again after every connection if minUptime is 0', () => {
    expect(failures(frozen({ ...states.open, attempt: 7 }), 0, 0)).toBe(1)
  })

  test('never starts again if minUptime is Infinity', () => {
    expect(failures(frozen({ ...states.open, attempt: 7 }), 3_600_000, Infinity)).toBe(8)
  })

  test('ignores the uptime if there was no connection', () => {
    expect(failures(frozen({ name: 'connecting', attempt: 7 }), 3_600_000, 5_000)).toBe(8)
  })

  test('is 1 in a state without a count', () => {
    expect(failures(states.closing, 0, 5_000)).toBe(1)
    expect(failures(states.closed, 0, 5_000)).toBe(1)
  })
})
