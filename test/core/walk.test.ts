import fc from 'fast-check'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { PageEvent } from '../../src/index.ts'
import { either, one } from '../support/arbitraries.ts'
import { byEffort } from '../support/run.ts'
import { countLooks, fresh, sent, settled, setup } from '../support/setup.ts'
import {
  type Action,
  type MessageSpec,
  OCCASIONS,
  type Settings,
  type Step,
  Walk,
  type Which,
  withoutUndefined,
} from './walk-model.ts'

const { random } = Math
const rejected: unknown[] = []
const reject = (error: unknown) => rejected.push(error)

beforeAll(() => {
  process.on('unhandledRejection', reject)
  return () => process.off('unhandledRejection', reject)
})

fresh()
afterEach(() => {
  Math.random = random
})

const seldom = <Value>(value: fc.Arbitrary<Value>) =>
  either<Value | undefined>([3, one(undefined)], [1, value])

const messageSpec: fc.Arbitrary<MessageSpec> = fc.record({
  kind: either<MessageSpec['kind']>([3, one('text')], [2, one('bytes')], [1, one('blob')]),
  size: fc.nat(20),
  ttl: seldom(fc.constantFrom(0, 1, 50, 1_000, 20_000)),
  key: seldom(fc.constantFrom('a', 'b')),
  volatile: either<true | undefined>([7, one(undefined)], [1, one(true)]),
  signal: seldom(fc.nat(1)),
})

const action = either<Action>(
  [14, messageSpec.map(messageSpec => ({ do: 'send', ...withoutUndefined(messageSpec) }))],
  [1, one({ do: 'reconnect' })],
  [1, one({ do: 'connect' })],
  [2, one({ do: 'handover' })],
  [1, fc.nat(1).map(signal => ({ do: 'abort', signal }))],
  [1, fc.constantFrom(undefined, 1000, 3000, 4999).map(code => ({ do: 'close', code }))],
)

const reaction = either<Action>(
  [9, action],
  [1, one({ do: 'close' })],
  [1, one({ do: 'throw' })],
  [1, one({ do: 'listen' })],
  [1, one({ do: 'abort life' })],
)

const which = either<Which | undefined>([4, one(undefined)], [3, one('second')], [1, one('late')])

const drop = either<Step>(
  [
    2,
    fc.record({
      do: one('drop'),
      code: fc.constantFrom(1006, 1000, 1001, 1011, 1013, 4000),
      stale: seldom(fc.nat(60)),
      which,
    }),
  ],
  [1, one({ do: 'drop', code: 1012, reason: 'retry-after=2' })],
  [1, one({ do: 'drop', code: 1009 })],
  [1, fc.record({ do: one('drop'), code: fc.constantFrom(1008, 4401), which })],
)

const step = either<Step>(
  [24, action],
  [14, one({ do: 'open' })],
  [4, one({ do: 'accept' })],
  [8, fc.constantFrom(0, 1, 10, 300, 1_000, 5_000, 60_000).map(time => ({ do: 'pass', time }))],
  [5, drop],
  [
    5,
    fc.record({
      do: one('deliver'),
      what: fc.constantFrom('text', 'text', 'bytes', 'pong', 'leaving'),
      which,
    }),
  ],
  [2, fc.record({ do: one('broadcast'), reversed: fc.boolean(), again: fc.boolean() })],
  [4, fc.record({ do: one('flow'), yes: one(false), which })],
  [2, fc.record({ do: one('flow'), yes: one(true), which })],
  [4, fc.record({ do: one('leave'), bytes: fc.integer({ min: 1, max: 40 }), which })],
  [4, fc.record({ do: one('when'), on: fc.constantFrom(...OCCASIONS), call: reaction })],
  [1, one({ do: 'refuse' })],
  [1, fc.record({ do: one('begin close'), which })],
  [1, fc.record({ do: one('answers'), yes: fc.boolean(), which })],
  [
    5,
    fc.record({
      do: one('page event'),
      event: fc.constantFrom('wake', 'wake', 'wake', 'sleep', 'offline', 'hidden', 'visible'),
      online: fc.boolean(),
    }),
  ],
  [1, fc.constantFrom(2_000, 100_000, -2_000, -100_000).map(time => ({ do: 'jump', time }))],
  [1, one({ do: 'release' })],
  [
    2,
    fc.record({
      do: one('abandoned'),
      which: fc.nat(5),
      what: fc.constantFrom('message', 'open', 'close', 'backlog'),
    }),
  ],
  [1, fc.nat(5).map(how => ({ do: 'misuse', how }))],
  [1, one({ do: 'abort life' })],
)

/** Steps of a handover in their order, which a random walk would rarely combine. */
const handover = fc.subarray<Step>(
  [
    { do: 'open' },
    { do: 'page event', event: 'hidden', online: true },
    { do: 'pass', time: 60_000 },
    { do: 'broadcast', reversed: false, again: false },
    { do: 'handover' },
    { do: 'page event', event: 'visible', online: true },
    { do: 'page event', event: 'wake', online: true },
    { do: 'pass', time: 300 },
    { do: 'send', kind: 'text', size: 3 },
    { do: 'accept' },
    { do: 'broadcast', reversed: false, again: true },
    { do: 'broadcast', reversed: true, again: false },
    { do: 'send', kind: 'bytes', size: 5 },
    { do: 'pass', time: 10 },
    { do: 'deliver', what: 'text', which: 'second' },
    { do: 'pass', time: 300 },
    { do: 'deliver', what: 'leaving', which: 'late' },
    { do: 'broadcast', reversed: false, again: true },
  ],
  { minLength: 6 },
)

const some = <Value>(...values: Value[]) =>
  fc.array(fc.constantFrom(...values), { minLength: 1, maxLength: 3 })

const settings = fc
  .record<Settings>({
    endpoint: either<Settings['endpoint']>(
      [3, one('fixed')],
      [1, some('answer', 'answer', 'answer', 'throw', 'reject', 'hang', 'malformed')],
    ),
    prepare: seldom(some('return', 'send', 'send', 'receive', 'receive', 'reject', 'hang')),
    retry: either<Settings['retry']>(
      [6, one('default')],
      [3, one('always')],
      [1, one('never')],
      [1, one('throws')],
      [1, one('when called')],
    ),
    heartbeat: seldom(
      fc.record({
        interval: fc.constantFrom(1_000, 10_000),
        timeout: fc.constantFrom(500, 4_000),
        message: fc.constantFrom('fixed', 'function', 'throws', 'none'),
        hides: fc.boolean(),
      }),
    ),
    handover: either<Settings['handover']>(
      [1, one(false)],
      [
        5,
        fc.record({
          maxAge: seldom(fc.constantFrom(11_000, 30_000)),
          when: seldom(fc.constantFrom('announces', 'announces', 'throws')),
          id: seldom(fc.constantFrom('number', 'number', 'throws')),
          wake: seldom(fc.constantFrom('handover', 'reconnect', 'reconnect')),
        }),
      ],
    ),
    queue: fc.record({
      maxMessages: either([3, one(Infinity)], [1, fc.nat(4)]),
      maxBytes: either([3, one(2 ** 24)], [1, fc.integer({ min: 10, max: 100 })]),
      overflow: fc.constantFrom('reject', 'drop-oldest'),
    }),
    highWaterMark: fc.constantFrom(2 ** 20, 30, 0),
    minUptime: fc.constantFrom(5_000, 0),
    connectTimeout: fc.constantFrom(10_000, 2_000),
    closeTimeout: fc.constantFrom(3_000, 500),
    autoConnect: either([6, one(true)], [1, one(false)]),
    hasPageEvents: either([4, one(true)], [1, one(false)]),
    hasSignal: either([3, one(false)], [1, one(true)]),
    seed: fc.nat(),
  })
  .map(withoutUndefined)

test('a random walk finds one connection, one order of events, and an account of every message', {
  timeout: 600_000,
}, async () => {
  // The same walks in each run, so that only a change of the code can change the result. WALK_SEED selects others.
  const { WALK_RUNS = byEffort(600, 3_000), WALK_SEED = 20_261_121 } = process.env
  const steps = fc.array(either<Step | Step[]>([24, step], [1, handover]), { maxLength: 60, size: 'max' })
  await fc.assert(
    fc.asyncProperty(settings, steps, async (settings, steps) => {
      const walk = new Walk(settings)
      for (const step of steps.flat()) await walk.take(step)
      await walk.finish()
      expect(rejected.splice(0)).toEqual([])
    }),
    { numRuns: Number(WALK_RUNS), seed: Number(WALK_SEED) },
  )
})

// Failures that the walk has found, reduced to the shortest cases.

test('a socket that is closed before its first attempt stops listening to its signal', () => {
  const { signal } = new AbortController()
  const added = vi.spyOn(signal, 'addEventListener')
  const removed = vi.spyOn(signal, 'removeEventListener')
  setup({ signal, autoConnect: false }).socket.close()
  expect(removed.mock.calls.map(([, listener]) => listener)).toEqual(
    added.mock.calls.map(([, listener]) => listener),
  )
})

test('a buffer that does not shrink is checked at increasing intervals, even after it has shrunk once', () => {
  const { socket, native } = setup()
  native().accept().freeze('up')
  socket.send('some')
  native().drain(1)
  const looks = countLooks(native())
  vi.advanceTimersByTime(60_000)
  expect(looks()).toBeLessThan(300)
})

describe('a drop listener', () => {
  test('that sends does not overtake the message for which an older one was dropped', () => {
    const { socket, native } = setup()
    socket.once('drop', () => socket.send('second'))
    socket.send('old', { key: 'k' })
    socket.send('first', { key: 'k' })
    native().accept()
    expect(sent(native())).toEqual(['first', 'second'])
  })

  test('that sends stays in order and within the limit with drop-oldest', () => {
    const { socket, heard, native } = setup({ queue: { maxMessages: 2, overflow: 'drop-oldest' } })
    socket.once('drop', () => socket.send('d'))
    for (const text of ['a', 'b', 'c']) socket.send(text)
    expect(heard('drop').map(({ data }) => data)).toEqual(['a', 'b'])
    native().accept()
    expect(sent(native())).toEqual(['c', 'd'])
  })

  test('that closes the socket leaves nothing in the queue', () => {
    const { socket, heard } = setup()
    socket.once('drop', () => socket.close())
    socket.send('old', { key: 'k' })
    socket.send('new', { key: 'k' })
    expect([socket.state.name, socket.queued]).toEqual(['closed', 0])
    expect(heard('drop')).toEqual([
      { data: 'old', reason: 'replaced' },
      { data: 'new', reason: 'closed' },
    ])
  })
})

test('of several reclaimed messages with the same key only the newest is sent again', () => {
  const { socket, heard, native } = setup()
  native().accept().freeze('up')
  for (const text of ['1', '2', '3', '4']) socket.send(text, { key: 'k' })
  native().drop()
  vi.advanceTimersByTime(10_000)
  expect(sent(native().accept())).toEqual(['4'])
  expect(heard('drop')).toHaveLength(3)
})

test('a heartbeat between the end of a connection and the second reading of its buffer loses no message', () => {
  let reportPageEvent = (_: PageEvent) => {}
  const { socket, native } = setup({
    heartbeat: { message: 'ping' },
    wake: heard => {
      reportPageEvent = heard
      return () => {}
    },
  })
  native().accept().freeze('up')
  socket.send('x')
  native().drop()
  reportPageEvent('wake')
  vi.advanceTimersByTime(10_000)
  expect(sent(native().accept())).toEqual(['x'])
})

test('send() never returns sent for a message that was dropped', () => {
  const { socket, heard, native } = setup({ highWaterMark: 6 })
  native().accept().freeze('up')
  socket.send('the first')
  socket.send('second')
  native().drain()
  native().thaw('up')
  const outcome = socket.send('third', { ttl: 0 })
  expect([outcome, sent(native()).length]).toEqual(heard('drop').length ? ['dropped', 2] : ['sent', 3])
})

test('prepare that ends after its connection does not open the socket', async () => {
  let done = () => {}
  const { socket, native } = setup({
    prepare: ({ send }) => {
      send('token')
      return new Promise<void>(resolve => {
        done = resolve
      })
    },
  })
  native().freeze('up')
  native().accept().drop()
  done()
  await settled()
  expect(socket.state.name).toBe('waiting')
})

test('receive() also rejects if it is called after the connection was lost', async () => {
  let ended: unknown
  const { socket, native } = setup({
    prepare: async ({ receive }) => {
      socket.close()
      await receive().catch(() => {
        ended = true
      })
    },
  })
  native().accept()
  await settled()
  expect(ended).toBe(true)
})

test('a probe does not extend a deadline that is nearer than its own', () => {
  let reportPageEvent = (_: PageEvent) => {}
  const { heard, native } = setup({
    heartbeat: { interval: 1_000, timeout: 500, message: 'ping' },
    wake: heard => {
      reportPageEvent = heard
      return () => {}
    },
  })
  native().accept()
  reportPageEvent('wake')
  vi.advanceTimersByTime(1_500)
  expect(heard('close')).toMatchObject([{ cause: { code: 'UNRESPONSIVE' } }])
})

test('a heartbeat message function may abandon the connection', () => {
  const reported: unknown[] = []
  vi.stubGlobal('reportError', (error: unknown) => reported.push(error))
  const message = () => {
    socket.reconnect()
    return 'ping'
  }
  const { socket, native } = setup({ heartbeat: { interval: 1_000, message } })
  const first = native().accept()
  vi.advanceTimersByTime(1_000)
  expect([reported, sent(first), socket.state.name]).toEqual([[], [], 'waiting'])
})

test('a heartbeat message function that abandons a busy connection leaves no timer behind', () => {
  const message = () => {
    socket.close()
    return 'ping'
  }
  const { socket, native } = setup({ heartbeat: { interval: 1_000, message } })
  const first = native().accept()
  vi.advanceTimersByTime(500)
  first.send('page event')
  vi.advanceTimersByTime(600)
  expect(socket.state.name).toBe('closed')
  expect(vi.getTimerCount()).toBe(0)
})

test('reclaimed messages over the limit are not dropped for a newer message, except with drop-oldest', () => {
  const { socket, heard, native } = setup({ queue: { maxMessages: 1 } })
  native().accept().freeze('up')
  socket.send('old', { key: 'k' })
  socket.send('order')
  native().drop()
  vi.advanceTimersByTime(0)
  expect(socket.queued).toBe(2)
  socket.send('new', { key: 'k' })
  expect(heard('drop')).not.toContainEqual(expect.objectContaining({ data: 'order' }))
})

test('a reconnect() or connect() whose socket is aborted before it takes effect opens no connection', () => {
  for (const method of ['reconnect', 'connect'] as const) {
    const life = new AbortController()
    const { socket } = setup({ signal: life.signal })
    socket.send('x')
    socket.once('state', () => socket[method]())
    socket.once('drop', () => life.abort())
    socket.close()
    expect(socket.state.name).toBe('closed')
  }
})
