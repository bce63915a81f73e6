// The queue takes linear time. Each test has so many messages that quadratic time would exceed its timeout. test/bench/queue.mjs measures the
// times.
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Data } from '../../src/common/data.ts'
import { delivery } from '../../src/core/delivery.ts'
import { type CreateQueue, createQueue, type Queue } from '../../src/core/queue.ts'
import type { QueueOptions } from '../../src/index.ts'

const MESSAGES = 300_000

/** A queue, and a native socket that adds `keeps` bytes to its buffer for each message. */
const createParts = (create: CreateQueue, limits: QueueOptions = {}) => {
  const sent: Data[] = []
  const dropped: Data[] = []
  const native = {
    readyState: 1,
    keeps: 0,
    bufferedAmount: 0,
    send(data: Data) {
      sent.push(data)
      native.bufferedAmount += native.keeps
    },
  }
  const counts = { queued: 0, queuedBytes: 0, sent: 0, reclaimed: 0 }
  const queue = create({ queue: { maxBytes: Infinity, ...limits }, highWaterMark: 1_000 }, counts, data => {
    dropped.push(data)
    return 'dropped'
  })
  return { queue, native, counts, sent, dropped }
}

const pushAll = (queue: Queue) => {
  for (let i = 0; i < MESSAGES; i++) queue.push(`${i}`)
}

const inOrder = Array.from({ length: MESSAGES }, (_, i) => `${i}`)

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

describe.each([
  ['the queue of the bare core', createQueue],
  ['the queue of the delivery part', delivery],
])('%s', (_, create) => {
  test('sends 300,000 messages in order that waited for a connection', () => {
    const { queue, native, sent } = createParts(create)
    pushAll(queue)
    queue.attach(native)
    queue.flush()
    expect(sent).toEqual(inOrder)
  })

  test('sends 300,000 messages in order on an open connection', () => {
    const { queue, native, sent } = createParts(create)
    queue.attach(native)
    pushAll(queue)
    expect(sent).toEqual(inOrder)
  })

  test('drops 300,000 messages in order when the socket is closed', () => {
    const { queue, counts, dropped } = createParts(create)
    pushAll(queue)
    queue.clear()
    expect(dropped).toEqual(inOrder)
    expect(counts).toMatchObject({ queued: 0, queuedBytes: 0 })
  })

  test('counts the messages that wait and their bytes, and drops a message that exceeds a limit', () => {
    const { queue, counts, dropped } = createParts(create, { maxMessages: 2, maxBytes: 5 })
    expect(['abc', 'much', 'de', ''].map(text => queue.push(text))).toEqual([
      'queued',
      'dropped',
      'queued',
      'dropped',
    ])
    expect(counts).toMatchObject({ queued: 2, queuedBytes: 5 })
    expect(dropped).toEqual(['much', ''])
  })
})

describe('the queue of the delivery part', () => {
  test('sends 300,000 messages in order a thousand at a time', () => {
    const { queue, native, counts, sent } = createParts(delivery)
    pushAll(queue)
    native.keeps = 1
    queue.attach(native)
    queue.flush()
    while (counts.queued) {
      native.bufferedAmount = 0
      vi.advanceTimersToNextTimer()
    }
    expect(sent).toEqual(inOrder)
  })

  test('drops the oldest of 300,000 messages when 500 may wait', () => {
    const { queue, counts, dropped } = createParts(delivery, { maxMessages: 500, overflow: 'drop-oldest' })
    pushAll(queue)
    expect(counts.queued).toBe(500)
    expect(dropped).toEqual(inOrder.slice(0, -500))
  })

  test('sends 300,000 messages while the browser never catches up', () => {
    const { queue, native, sent } = createParts(delivery)
    native.keeps = 1
    queue.attach(native)
    for (const message of inOrder) {
      native.bufferedAmount = Math.min(native.bufferedAmount, 800)
      queue.push(message)
    }
    expect(sent).toEqual(inOrder)
  })

  test('reclaims 300,000 messages in order from a connection that was lost', () => {
    const { queue, native, counts, sent } = createParts(delivery)
    pushAll(queue)
    native.keeps = 1
    queue.attach(native)
    queue.flush(true)
    queue.detach(MESSAGES, 1006)
    expect(counts).toMatchObject({ queued: MESSAGES, reclaimed: MESSAGES })
    sent.length = 0
    queue.attach({ ...native, send: data => sent.push(data) })
    queue.flush(true)
    expect(sent).toEqual(inOrder)
  })

  test('releases a message that has left the browser on the next send(), before it next checks the buffer', async () => {
    setFlagsFromString('--expose-gc')
    const { queue, native, sent } = createParts(delivery)
    native.keeps = 1
    queue.attach(native)
    const sendBlob = () => {
      const blob = new Blob(['large'])
      queue.push(blob)
      return new WeakRef(blob)
    }
    const blob = sendBlob()
    sent.length = native.bufferedAmount = 0
    queue.push('next')
    // A WeakRef holds its target until the task in which it was made has ended.
    await setImmediate()
    runInNewContext('gc')()
    expect(blob.deref()).toBeUndefined()
  })
})
