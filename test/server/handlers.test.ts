import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Session } from '../../src/server.ts'
import { ack, event, startFake } from './start.ts'

describe('a handler', () => {
  test('cannot fail with an error that looks like a message that was processed before', async () => {
    const { wss, server, errors } = startFake({
      onMessage: () => {
        throw Object.assign(new Error('such an order exists'), { name: 'Duplicate' })
      },
    })
    const client = await wss.connect()
    client.say(event('x', 1))
    expect(await ack(client, 1)).toMatchObject({ success: false, error: { name: 'Error' } })
    expect(server.stats).toMatchObject({ failed: 1, duplicates: 0 })
    expect(errors).toHaveLength(1)
  })
})

describe('a handler that takes longer than handlerTimeout', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })
  const forever = () => new Promise<never>(() => {})
  const messages = (client: { frames: any[] }) => client.frames.filter(({ type }) => type === 'message')

  test('has its request refused, and the next request is handled', async () => {
    const { wss, errors } = startFake({
      handlerTimeout: 1_000,
      onMessage: ({ data }, session) => {
        session.send(data)
        return data === 'slow' ? forever() : undefined
      },
    })
    const client = await wss.connect()
    client.say(event('slow', 1))
    client.say(event('quick', 2))
    await client.until(() => !client.isPaused)
    await vi.advanceTimersByTimeAsync(999)
    expect(client.frames).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1)
    expect((await ack(client, 1)).error).toEqual({ name: 'Timeout', message: 'the message was not handled' })
    expect((await ack(client, 2)).success).toBe(true)
    expect(messages(client).map(({ data }) => data)).toEqual(['quick'])
    expect(errors.map(String)).toEqual(['Timeout: onMessage took longer than handlerTimeout, 1000 ms'])
  })

  test('is notified by its signal, and can no longer send through its session', async () => {
    let late: Session | undefined
    const reasons: unknown[] = []
    const { wss, errors } = startFake({
      handlerTimeout: 1_000,
      onMessage: ({ signal }, session) => {
        late = session
        signal.addEventListener('abort', () => reasons.push(signal.reason))
        return forever()
      },
    })
    const client = await wss.connect()
    client.say(event('x', 1))
    await client.until(() => late)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(reasons).toEqual(errors)
    expect(() => late?.send('too late')).toThrow('took longer than handlerTimeout')
    expect(() => late?.close()).toThrow('took longer than handlerTimeout')
    await vi.advanceTimersByTimeAsync(1_000)
    expect(messages(client)).toEqual([])
    expect(client.end).toBeUndefined()
  })

  test('is refused as onJoin and onPublish too, and its late failure is not reported', async () => {
    const fail: ((error: Error) => void)[] = []
    const slow = () => new Promise<boolean>((_, reject) => fail.push(reject))
    const { wss, errors } = startFake({ handlerTimeout: 1_000, onJoin: slow, onPublish: slow })
    const client = await wss.connect()
    client.say('{"type":"joinGroup","group":"g","ackId":1}')
    client.say('{"type":"sendToGroup","group":"g","dataType":"text","data":"x","ackId":2}')
    await client.until(() => !client.isPaused)
    for (const ackId of [1, 2]) {
      await vi.advanceTimersByTimeAsync(1_000)
      expect((await ack(client, ackId)).error.name).toBe('Timeout')
    }
    for (const reject of fail) reject(new Error('late'))
    await vi.advanceTimersByTimeAsync(0)
    expect(errors.map(String)).toEqual(
      ['onJoin', 'onPublish'].map(name => `Timeout: ${name} took longer than handlerTimeout, 1000 ms`),
    )
  })

  test('closes the connection as authorize, origins or onConnect, and the client may try again', async () => {
    for (const name of ['authorize', 'origins', 'onConnect']) {
      let onCall = () => {}
      const isCalled = new Promise<void>(resolve => (onCall = resolve))
      const hook = () => {
        onCall()
        return forever()
      }
      const { wss, errors } = startFake({ handlerTimeout: 1_000, [name]: hook })
      const connecting = wss.connect()
      await isCalled
      await vi.advanceTimersByTimeAsync(1_000)
      const client = await connecting
      expect((await client.until(() => client.end)).code).toBe(1011)
      expect(errors.map(String)).toEqual([`Timeout: ${name} took longer than handlerTimeout, 1000 ms`])
    }
  })

  test('is waited for with handlerTimeout: Infinity', async () => {
    let done = () => {}
    const { wss } = startFake({
      handlerTimeout: Number.POSITIVE_INFINITY,
      onMessage: () => new Promise<void>(resolve => (done = resolve)),
    })
    const client = await wss.connect()
    client.say(event('x', 1))
    await client.until(() => !client.isPaused)
    await vi.advanceTimersByTimeAsync(2 ** 31)
    done()
    expect((await ack(client, 1)).success).toBe(true)
  })

  test.each([0, 1.5, 2 ** 31, Number.NaN])('is a TypeError with handlerTimeout: %d', handlerTimeout => {
    expect(() => startFake({ handlerTimeout })).toThrow(TypeError)
  })
})
