import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { createOutbox, type OutboxOptions } from '../../src/outbox.ts'
import { createReliableSocket } from '../../src/reliable.ts'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { MemoryStorage } from './fakes.ts'
import { startBrowser, startServer, type Tab, until } from './tabs.ts'

cleanUp()

describe('a message of a reliable socket with an outbox', () => {
  test('is stored, sent once, and deleted when the server has acknowledged it', async () => {
    const { url, handled } = await startServer()
    const { open } = startBrowser()
    const { socket, outbox } = open(url)
    const sent = socket.send({ buy: 3 }, { event: 'order' })
    const [pending] = await outbox.pending()
    expect(pending).toMatchObject({ type: 'event', event: 'order', data: { buy: 3 } })
    expect(await sent).toEqual({ status: 'delivered' })
    expect(handled).toEqual([{ buy: 3 }])
    await until(async () => (await outbox.pending()).length === 0)
  })

  test('is sent by the next page after a crash, before the messages of that page, in order', async () => {
    const { url, handled } = await startServer()
    const { open } = startBrowser()
    const gone = open('ws://127.0.0.1:9', {}, { retry: () => 1e6 })
    for (let n = 0; n < 300; n++) gone.socket.send(n)
    await until(async () => (await gone.outbox.pending()).length === 300)
    gone.crash()
    const next = open(url)
    expect(await next.socket.send('last')).toEqual({ status: 'delivered' })
    expect(handled).toEqual([...Array(300).keys(), 'last'])
    expect(next.outcomes.map(({ status, data }) => [status, data])).toEqual(
      Array.from({ length: 300 }, (_, n) => ['delivered', n]),
    )
  })

  test('is processed once if the page crashes while the server processes it', async () => {
    const gate: { wait?: Promise<unknown> | undefined } = {}
    let release = () => {}
    gate.wait = new Promise<void>(resolve => {
      release = resolve
    })
    const { url, handled, server } = await startServer(gate)
    const { open } = startBrowser()
    const gone = open(url)
    for (let n = 0; n < 5; n++) gone.socket.send(n)
    await until(() => gone.socket.stats.inFlight === 5)
    gone.crash()
    const next = open(url)
    await until(() => next.socket.stats.inFlight === 5)
    release()
    expect(await next.socket.send('last')).toEqual({ status: 'delivered' })
    expect(handled).toEqual([0, 1, 2, 3, 4, 'last'])
    expect(server.stats.duplicates).toBeGreaterThan(0)
  })

  test('has an id that stays the same when the server has lost its session', async () => {
    const { url, handled, ids, server } = await startServer()
    const { open } = startBrowser()
    const { socket } = open(url)
    await socket.send(1)
    await server.end(socket.connectionId as string)
    expect(await socket.send(2)).toEqual({ status: 'delivered' })
    expect(handled).toEqual([1, 2])
    expect(ids[0]).toMatch(/^[\w-]{22}$/)
  })

  test('resolves as stored when the socket is closed, and is sent by the next socket', async () => {
    const { url, handled } = await startServer()
    const { open } = startBrowser()
    const first = open('ws://127.0.0.1:9')
    const sent = first.socket.send('x')
    await until(async () => (await first.outbox.pending()).length)
    first.socket.close()
    expect(await sent).toEqual({ status: 'stored' })
    open(url)
    await until(() => handled.length)
    expect(handled).toEqual(['x'])
  })

  test.each<[string, (tab: Tab, outcome: Promise<unknown>) => unknown]>([
    ['the socket is closed', ({ socket }) => socket.close()],
    ['the page crashes', (tab, outcome) => outcome.then(() => tab.crash())],
  ])('is dropped if it is aborted without a connection, and not sent later when %s', async (_, end) => {
    const { url, handled } = await startServer()
    const { open } = startBrowser()
    const [first, other] = [open('ws://127.0.0.1:9'), open('ws://127.0.0.1:9')]
    const scope = new AbortController()
    const outcome = first.socket.send('aborted', { signal: scope.signal })
    await until(async () => (await first.outbox.pending()).length)
    scope.abort()
    await end(first, outcome)
    expect(await outcome).toEqual({ status: 'dropped', reason: 'aborted' })
    other.crash()
    await open(url).socket.send('last')
    expect(handled).toEqual(['last'])
  })

  test('is not reported as stored if it is aborted when the window is full, and the socket is closed', async () => {
    const gate: { wait?: Promise<unknown> | undefined } = { wait: new Promise(() => {}) }
    const { url } = await startServer(gate)
    const { socket, outbox } = startBrowser().open(url)
    const scope = new AbortController()
    const outcomes = Array.from({ length: 300 }, (_, n) => socket.send(n, { signal: scope.signal }))
    await until(() => socket.stats.inFlight === 256)
    await outbox.pending()
    scope.abort()
    socket.close()
    const last = await outcomes.at(-1)
    expect(last).toEqual({ status: 'dropped', reason: 'aborted' })
    expect(await outbox.pending()).toHaveLength(256)
  })

  test('is dropped with the reason of the server if the server refuses it, and deleted', async () => {
    const { url } = await startServer()
    const { open } = startBrowser()
    const { socket, outbox } = open(url)
    const drops: unknown[] = []
    socket.on('drop', drop => drops.push(drop))
    expect(await socket.send('refuse me')).toMatchObject({ status: 'dropped', reason: 'refused' })
    expect(drops).toMatchObject([{ data: 'refuse me', reason: 'refused', error: { name: 'Refused' } }])
    await until(async () => (await outbox.pending()).length === 0)
  })
})

describe('a reload, with an outbox and the text of save()', () => {
  /** A page whose storage takes so long that the page is gone before it is done. */
  const openSlow = (url: string, options: OutboxOptions = {}) => {
    const outbox = createOutbox(
      Object.assign(new MemoryStorage(), { add: () => new Promise<never>(() => {}) }),
      options,
    )
    const socket = createReliableSocket(url, { WebSocket: WebSocket as never, outbox })
    cleanup(() => socket.close())
    return socket
  }
  const openNext = (url: string, saved: string, storage = new MemoryStorage()) => {
    const outbox = createOutbox(storage)
    const outcomes: unknown[] = []
    const socket = createReliableSocket(url, { WebSocket: WebSocket as never, outbox, saved })
    socket.on('outcome', ({ status, data }) => outcomes.push([status, data]))
    cleanup(() => socket.close())
    return { socket, outbox, outcomes }
  }

  test('sends the messages that were not stored yet, before those of the next page', async () => {
    const { url, handled } = await startServer()
    const gone = openSlow(url)
    await new Promise(resolve => gone.once('open', resolve))
    gone.send('one', { event: 'order' })
    gone.send('two', { event: 'order' })
    const { socket, outbox, outcomes } = openNext(url, gone.save())
    expect(await socket.send('three')).toEqual({ status: 'delivered' })
    expect(handled).toEqual(['one', 'two', 'three'])
    expect(outcomes).toEqual([
      ['delivered', 'one'],
      ['delivered', 'two'],
    ])
    await until(async () => (await outbox.pending()).length === 0)
  })

  test('processes a message once that was saved and stored', async () => {
    const { url, handled } = await startServer()
    const { open } = startBrowser()
    const gone = open('ws://127.0.0.1:9', {}, { retry: () => 1e6 })
    gone.socket.send('one')
    const saved = gone.socket.save()
    await until(async () => (await gone.outbox.pending()).length === 1)
    gone.crash()
    const { socket, outbox } = open(url, {}, { saved })
    expect(await socket.send('two')).toEqual({ status: 'delivered' })
    expect(handled).toEqual(['one', 'two'])
    await until(async () => (await outbox.pending()).length === 0)
  })

  test('does not save as plain text what the application encodes', async () => {
    const gone = openSlow('ws://127.0.0.1:9', { encode: bytes => bytes, decode: bytes => bytes })
    gone.send('secret')
    expect(gone.save()).not.toContain('secret')
  })

  test('ignores what the outbox of another user has saved', async () => {
    const { url, handled } = await startServer()
    const gone = openSlow('ws://127.0.0.1:9')
    gone.send('of ann')
    const { socket } = openNext(url, gone.save(), Object.assign(new MemoryStorage(), { name: 'bob' }))
    expect(await socket.send('of bob')).toEqual({ status: 'delivered' })
    expect(handled).toEqual(['of bob'])
  })
})
