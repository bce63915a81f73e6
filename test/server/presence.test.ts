// The hooks that report the connections and sessions of clients to the application.
import { describe, expect, test, vi } from 'vitest'
import { memoryStore } from '../../src/server.ts'
import { eventually } from '../support/eventually.ts'
import { event, recovery, startFake } from './start.ts'

const start = (log: string[], store = memoryStore(), name = '', more = {}) =>
  startFake({
    store,
    authorize: () => 'ada',
    onConnect: (session, { resumed }) => void log.push(`${name}connect ${session.userId} ${resumed}`),
    onDisconnect: (session, { code }) => void log.push(`${name}disconnect ${session.userId} ${code}`),
    onEnd: ({ userId }, { code, reason }) => void log.push(`${name}end ${userId} ${code} ${reason}`),
    ...more,
  })

describe('the hooks of a session', () => {
  test('do not report a disconnection on a node if another node has resumed the session', async () => {
    const log: string[] = []
    const store = memoryStore()
    const [a, b] = [start(log, store, 'a '), start(log, store, 'b ')]
    const first = await a.wss.connect()
    const second = await b.wss.connect(recovery(first))
    await first.until(() => first.end)
    expect(a.server.stats.connections).toBe(0)
    second.terminate()
    await second.until(() => second.end)
    expect(log).toEqual(['a connect ada false', 'b connect ada true', 'b disconnect ada 1006'])
  })

  test('report the end of a connected session after its disconnection, once', async () => {
    const log: string[] = []
    const { wss, server } = start(log)
    const client = await wss.connect()
    await server.end(client.frames[0].connectionId, 4000, 'bye')
    await client.until(() => client.end)
    await eventually(() => expect(log).toHaveLength(3))
    expect(log).toEqual(['connect ada false', 'disconnect ada 4000', 'end ada 4000 bye'])
  })

  test('report the end of a session whose client broke the protocol', async () => {
    const log: string[] = []
    const { wss } = start(log)
    const client = await wss.connect()
    await client.until(() => !client.isPaused)
    client.say('nonsense')
    await client.until(() => client.end)
    await eventually(() => expect(log).toHaveLength(3))
    expect(log).toEqual(['connect ada false', 'disconnect ada 1008', 'end ada 1008 bad frame: not JSON'])
  })

  test('report the end of a session that has expired', async () => {
    const log: string[] = []
    const { wss } = start(log, memoryStore(), '', { sessionTimeout: 20 })
    const client = await wss.connect()
    client.terminate()
    await eventually(() => expect(log).toHaveLength(3))
    expect(log).toEqual(['connect ada false', 'disconnect ada 1006', 'end ada 1008 the session has expired'])
  })

  test('report an error of onEnd, and nothing else happens', async () => {
    const { wss, server, errors } = startFake({
      onEnd: () => {
        throw new Error('oops')
      },
    })
    const client = await wss.connect()
    await server.end(client.frames[0].connectionId)
    await eventually(() => expect(errors).toEqual([new Error('oops')]))
    expect((await wss.connect()).frames[0].event).toBe('connected')
  })
})

describe('a session whose client has closed the connection with 1000', () => {
  test('is kept for ten seconds at most, and a lost one for all of sessionTimeout', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
    try {
      const { wss } = start([], memoryStore(), '', { sessionTimeout: 60_000 })
      const [left, lost, back] = [await wss.connect(), await wss.connect(), await wss.connect()]
      left.close(1000)
      back.close(1000)
      lost.terminate()
      await lost.until(() => lost.end)
      await vi.advanceTimersByTimeAsync(9_000)
      expect((await wss.connect(recovery(back))).frames[0].event).toBe('connected')
      await vi.advanceTimersByTimeAsync(2_000)
      expect((await wss.connect(recovery(left))).end?.code).toBe(1008)
      expect((await wss.connect(recovery(lost))).frames[0].event).toBe('connected')
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('a session whose client sends endSession', () => {
  const END = '{"type":"endSession"}'

  test('ends at once, and cannot be resumed', async () => {
    const log: string[] = []
    const { wss } = start(log)
    const client = await wss.connect()
    await client.until(() => !client.isPaused)
    client.say(END)
    client.close(1000)
    expect((await wss.connect(recovery(client))).end?.code).toBe(1008)
    expect(log).toEqual(['connect ada false', 'disconnect ada 1000', 'end ada 1000 ended by the client'])
  })

  test('ends after the requests that came before are processed, also when the connection is closed meanwhile', async () => {
    const log: string[] = []
    let finish = () => {}
    const { wss } = start(log, memoryStore(), '', {
      onMessage: async ({ data }: { data: unknown }) => {
        if (data === 1) await new Promise<void>(resolve => (finish = resolve))
        log.push(`handled ${data}`)
      },
    })
    const client = await wss.connect()
    await client.until(() => !client.isPaused)
    client.say(event(1, 1))
    client.say(event(2, 2))
    client.say(END)
    client.close(1000)
    await client.until(() => client.end)
    finish()
    await eventually(() => expect(log).toHaveLength(5))
    expect(log).toEqual([
      'connect ada false',
      'disconnect ada 1000',
      'handled 1',
      'handled 2',
      'end ada 1000 ended by the client',
    ])
  })
})
