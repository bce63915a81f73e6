// That work grows with the messages and no faster, by counting: no clock is read.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createQueue } from '../../src/core/queue.ts'

let touches = 0

/** Whoever looks at a place in the line asks the message there for its wishes first. */
class Message {
  get options() {
    touches++
    return undefined
  }
}

/** Methods of arrays that go through all of one, or move it. */
const WALKS = [
  'shift',
  'unshift',
  'splice',
  'slice',
  'concat',
  'filter',
  'map',
  'forEach',
  'indexOf',
] as const

/** A queue of such messages, and a wire that keeps as much as it is told to. */
const setUp = (limits: { maxMessages?: number; overflow?: 'reject' | 'drop-oldest' } = {}) => {
  const wire = { readyState: 1, bufferedAmount: 0, sent: 0, keeps: 0, send: (_: Message) => {} }
  wire.send = () => {
    wire.sent++
    wire.bufferedAmount += wire.keeps
  }
  const counts = { queued: 0, queuedBytes: 0, sent: 0, reclaimed: 0 }
  const queue = createQueue<Message>(
    { maxMessages: Infinity, maxBytes: Infinity, overflow: 'reject', highWaterMark: 10, ...limits },
    counts,
    () => 'dropped',
    () => false,
    () => 1,
    message => message,
  )
  return { queue, wire, counts }
}

/** How often n messages are touched on their way. */
const touched = (run: (n: number) => void, n: number) => {
  const before = WALKS.map(
    name => Object.getOwnPropertyDescriptor(Array.prototype, name) as PropertyDescriptor,
  )
  touches = 0
  // Not spies: those walk arrays themselves.
  for (const [i, name] of WALKS.entries()) {
    const { value } = before[i] as { value: (...given: unknown[]) => unknown }
    Object.defineProperty(Array.prototype, name, {
      ...before[i],
      value: function walk(this: unknown[], ...given: unknown[]) {
        if (Array.isArray(this) && this.some(item => item instanceof Message)) touches += this.length
        return value.apply(this, given)
      },
    })
  }
  try {
    run(n)
  } finally {
    for (const [i, name] of WALKS.entries()) {
      Object.defineProperty(Array.prototype, name, before[i] as PropertyDescriptor)
    }
  }
  return touches
}

const cases: Record<string, (n: number) => void> = {
  'that wait for a connection and leave': n => {
    const { queue, wire } = setUp()
    for (let i = 0; i < n; i++) queue.push(new Message())
    queue.attach(wire)
    queue.flush()
    expect(wire.sent).toBe(n)
  },
  'that leave in portions': n => {
    const { queue, wire, counts } = setUp()
    for (let i = 0; i < n; i++) queue.push(new Message())
    wire.keeps = 1
    queue.attach(wire)
    queue.flush()
    while (counts.queued) {
      wire.bufferedAmount = 0
      vi.advanceTimersToNextTimer()
    }
    expect(wire.sent).toBe(n)
  },
  'that push older ones out': n => {
    const { queue, counts } = setUp({ maxMessages: 500, overflow: 'drop-oldest' })
    for (let i = 0; i < n; i++) queue.push(new Message())
    expect(counts.queued).toBe(500)
  },
  'that are sent while the browser is behind': n => {
    const { queue, wire } = setUp()
    wire.keeps = 1
    queue.attach(wire)
    for (let i = 0; i < n; i++) {
      wire.bufferedAmount = Math.min(wire.bufferedAmount, 8)
      queue.push(new Message())
    }
    expect(wire.sent).toBe(n)
  },
  'that come back from a connection which has lost them': n => {
    const { queue, wire, counts } = setUp()
    for (let i = 0; i < n; i++) queue.push(new Message())
    wire.keeps = 1
    queue.attach(wire)
    queue.flush(true)
    queue.detach(n)
    expect(counts).toMatchObject({ queued: n, reclaimed: n })
  },
}

describe('touches each message a few times, however many there are,', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  test.each(Object.entries(cases))('of those %s', (_, run) => {
    const few = touched(run, 2_000) / 2_000
    const many = touched(run, 20_000) / 20_000
    expect(few).toBeGreaterThan(0)
    // Below one it is now and then that places are tidied away.
    expect(many).toBeLessThan(Math.max(1, few) * 1.5)
    expect(many).toBeLessThan(20)
  })
})
