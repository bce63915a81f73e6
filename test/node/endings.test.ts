import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { backoff } from '../../src/index.ts'
import { closeFrame, startRaw } from './raw.ts'
import { type Connect, cleanup, lacksCloseEvent, overEachWebSocket, proxied, range, start } from './rig.ts'

/** Whether the documentation lists this close code as final, so that the client does not retry. */
const isFinal = (code: number) =>
  [1002, 1003, 1007, 1008, 1009, 1010, 3000, 3003].includes(code) ||
  (code >= 4400 && code <= 4499 && ![4408, 4425, 4429].includes(code))

/** Whether a close frame may contain this code. */
// https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number
const canBeSent = (code: number) =>
  (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || code >= 3000

/** Connects, and returns the content of the first close event, and the state of the client at that moment. */
const closeOf = async (connect: Connect, url: string) => {
  const { socket, events, until } = connect(url)
  let state = socket.state
  socket.once('close', () => {
    state = socket.state
  })
  await until(() => events('close').length)
  const [close] = events('close')
  const { code, reason, wasClean } = 'cause' in state && state.cause?.close ? state.cause.close : {}
  const event = { code: close?.code, reason: close?.reason, wasClean: close?.wasClean }
  socket.close()
  return { state: state.name, willRetry: close?.willRetry, cause: { code, reason, wasClean }, event }
}

overEachWebSocket((connect, WebSocket, name) => {
  describe('a server that closes with', () => {
    test.each([
      [1000, 'waiting'],
      [1001, 'waiting'],
      [1002, 'closed'],
      [1003, 'closed'],
      [1007, 'closed'],
      [1008, 'closed'],
      [1009, 'closed'],
      [1010, 'closed'],
      [1011, 'waiting'],
      [1012, 'waiting'],
      [1013, 'waiting'],
      [1014, 'waiting'],
      [3000, 'closed'],
      [3003, 'closed'],
      [3999, 'waiting'],
      [4000, 'waiting'],
      [4399, 'waiting'],
      [4400, 'closed'],
      [4401, 'closed'],
      [4408, 'waiting'],
      [4425, 'waiting'],
      [4429, 'waiting'],
      [4499, 'closed'],
      [4500, 'waiting'],
    ])('%i leaves the client %s, which reports the code and the reason', async (code, state) => {
      const server = await start()
      const { socket, events, until } = connect(`${server.url}/close?code=${code}&reason=so+be+it`)
      await until(() => events('close').length)
      const frame = { code, reason: 'so be it', wasClean: true }
      expect(socket.state).toMatchObject({ name: state, cause: { code: 'CONNECTION_LOST', close: frame } })
      expect(events('close')).toMatchObject([{ ...frame, willRetry: state === 'waiting' }])
      expect(events('close')[0]?.cause).toBe('cause' in socket.state && socket.state.cause)
      expect(events('open')).toHaveLength(1)
      expect(events('error')).toEqual([])
      if (state === 'closed') expect(socket.send('too late')).toBe('dropped')
    })
  })

  test('a close frame without a code is reported as 1005, and the client tries again', async () => {
    const server = await start()
    expect(await closeOf(connect, `${server.url}/close`)).toMatchObject({
      state: 'waiting',
      event: { code: 1005, reason: '' },
    })
  })

  test('the client retries or gives up as documented for every close code from 1000 to 4999', async () => {
    const validServer = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    await once(validServer, 'listening')
    cleanup(() => validServer.close())
    validServer.on('connection', (socket, { url }) => socket.close(Number(url?.slice(1)), `code ${url}`))
    const { port } = validServer.address() as { port: number }
    // A sample of the codes that must not be sent, and therefore fail the connection.
    const rawServerUrl = await startRaw(({ pathname }) => closeFrame(Number(pathname.slice(1))))

    const codes = range(1000, 5000).filter(code => canBeSent(code) || code < 1020 || code % 40 === 39)
    const wrong: unknown[] = []
    for (const from of range(0, Math.ceil(codes.length / 100))) {
      await Promise.all(
        codes.slice(from * 100, from * 100 + 100).map(async code => {
          const url = `${canBeSent(code) ? `ws://127.0.0.1:${port}` : rawServerUrl}/${code}`
          const { state, willRetry, cause, event } = await closeOf(connect, url)
          const expectedCode = canBeSent(code) ? code : 1006
          const reason = canBeSent(code) ? `code /${code}` : event.reason
          const right =
            state === (isFinal(expectedCode) ? 'closed' : 'waiting') &&
            willRetry === !isFinal(expectedCode) &&
            [cause, event].every(end => end.code === expectedCode && end.reason === reason)
          if (!right) wrong.push({ code, state, willRetry, cause, event })
        }),
      )
    }
    expect(wrong).toEqual([])
    expect(codes.length).toBeGreaterThan(2_000)
  })

  describe('a server that breaks the protocol with', () => {
    test.each([
      ['a close frame of one byte', [0x88, 1, 3]],
      ['a close reason that is not UTF-8', [0x88, 3, 3, 232, 0xff]],
      ['text that is not UTF-8', [0x81, 1, 0xff]],
      ['a masked frame', [0x81, 0x81, 0, 0, 0, 0, 65]],
      ['an unknown opcode', [0x83, 0]],
      ['a reserved bit', [0xc1, 1, 65]],
      ['a ping in two frames', [0x09, 1, 65]],
      ['a ping of 128 bytes', [0x89, 0x7e, 0, 128, ...new Uint8Array(128)]],
      ['a continuation frame without a first frame', [0x80, 1, 65]],
      ['a second message inside a fragmented message', [0x01, 1, 65, 0x81, 1, 66]],
    ])('%s causes one loss: earlier messages are received, the invalid one is not', async (_, bytes) => {
      const url = await startRaw(() => Buffer.from([0x81, 2, 79, 75, ...bytes]))
      const { socket, events, until } = connect(url)
      await until(() => events('close').length)
      expect(events('text')).toEqual(['OK'])
      expect(events('close')).toMatchObject([{ code: 1006, wasClean: false, willRetry: true }])
      expect(socket.state).toMatchObject({ name: 'waiting', cause: { code: 'CONNECTION_LOST' } })
    })
  })

  describe('a connection that ends without a close frame', () => {
    test.each(['reset', 'end'] as const)(
      '(%s) is reported as 1006, and the next connection sends the queued message',
      async how => {
        const server = await start()
        const proxy = await proxied(server.port)
        const { socket, events, until, in: inState } = connect(proxy.url('/echo'), { retry: () => 20 })
        socket.send('1')
        await until(() => events('text').length === 1)
        proxy[how]()
        await inState('waiting')
        expect(socket.send('2')).toBe('queued')
        expect(socket.state).toMatchObject({
          attempt: 1,
          delay: 20,
          cause: { code: 'CONNECTION_LOST', close: { code: 1006, reason: '', wasClean: false } },
        })
        await until(() => events('text').length === 2)
        expect(events('text')).toEqual(['1', '2'])
        expect(events('open')).toMatchObject([{ reconnected: false }, { attempt: 1, reconnected: true }])
        expect(events('close')).toMatchObject([{ code: 1006, reason: '', wasClean: false, delay: 20 }])
      },
    )

    test('in the middle of a message discards the incomplete message', async () => {
      const server = await start()
      const proxy = await proxied(server.port)
      const { events, until } = connect(proxy.url(), { retry: () => 0 })
      await until(() => events('open').length === 1)
      proxy.connections[0]?.cutAfter(500, 'down')
      server.push('lost'.repeat(1000))
      await until(() => events('open').length === 2)
      server.push('whole')
      await until(() => events('text').length)
      expect(events('text')).toEqual(['whole'])
    })

    test.skipIf(lacksCloseEvent(WebSocket))(
      'in the middle of the handshake is a failed attempt, not a lost connection',
      async () => {
        const server = await start()
        const proxy = await proxied(server.port)
        proxy.cutAfter(20, 'down')
        const { socket, events, until } = connect(proxy.url(), { retry: () => 0 })
        await until(() => events('error').length === 3)
        proxy.cutAfter(Infinity, 'down')
        await until(() => events('open').length)
        expect(events('error').every(({ code }) => code === 'CONNECTION_REFUSED')).toBe(true)
        expect(events('close')).toEqual([])
        expect(socket.stats.attempts).toBe(events('error').length + 1)
      },
    )
  })

  test('a server that restarts decides with retry-after when clients return', async () => {
    const server = await start()
    const { events, until } = connect(`${server.url}/close?code=1012&reason=retry-after=7`, {
      retry: backoff({ spread: 1_000 }),
    })
    await until(() => events('close').length)
    expect(events('close')[0]?.delay).toBeGreaterThanOrEqual(7_000)
    expect(events('close')[0]?.delay).toBeLessThanOrEqual(8_000)
  })

  test('a server that closes cleanly has received everything that was sent before', async () => {
    const server = await start()
    const { socket, events, until } = connect(`${server.url}/sink`, { retry: () => 0 })
    await until(() => events('open').length === 1)
    for (const i of range(0, 100)) socket.send(`${i}`)
    await server.until(() => server.received.length === 100)
    server.closeAll(4000, 'enough')
    await until(() => events('open').length === 2)
    socket.send('100')
    await server.until(() => server.received.length === 101)
    expect(server.received.map(({ data }) => Number(data))).toEqual(range(0, 101))
    expect(socket.stats).toMatchObject({ sent: 101, reclaimed: 0, connections: 2 })
  })

  test('two clients of one server do not affect each other', async () => {
    const server = await start()
    const first = connect(`${server.url}/close?code=4401`)
    const second = connect(`${server.url}/echo`)
    await first.in('closed')
    second.socket.send(name)
    await second.until(() => second.events('text').length)
    expect(second.events('text')).toEqual([name])
    expect(second.socket.stats.connections).toBe(1)
  })
})
