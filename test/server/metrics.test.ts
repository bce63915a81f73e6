// The metrics of a node, for Prometheus.
import { describe, expect, test } from 'vitest'
import { memoryStore } from '../../src/server.ts'
import { eventually } from '../support/eventually.ts'
import { ack, event, recovery, startFake } from './start.ts'

/** Parses the samples, by name and labels. */
const read = (text: string): Record<string, number> =>
  Object.fromEntries(
    text
      .split('\n')
      .filter(line => line && !line.startsWith('#'))
      .map(line => [
        line.slice('steadysocket_'.length, line.lastIndexOf(' ')),
        Number(line.slice(line.lastIndexOf(' '))),
      ]),
  )

describe('metrics()', () => {
  test('counts all close codes that clients may choose in two samples, so that they cannot fill the memory', async () => {
    const { wss, server } = startFake({ onMessage: () => {} })
    for (const code of [1_000, 3_000, 3_001, 4_000, 4_001, 4_999]) {
      const client = await wss.connect()
      client.close(code)
      await client.until(() => client.end)
    }
    const codes = Object.entries(read(server.metrics())).filter(([name]) => name.startsWith('closed_total'))
    expect(Object.fromEntries(codes)).toEqual({
      'closed_total{code="1000"}': 1,
      'closed_total{code="3xxx"}': 2,
      'closed_total{code="4xxx"}': 3,
    })
  })

  test('is in the text format of Prometheus: each metric has a help and a type, then its samples', async () => {
    const { wss, server } = startFake({ onMessage: () => {} })
    const client = await wss.connect()
    client.say(event(1, 1))
    await ack(client, 1)
    const text = server.metrics()
    expect(text.endsWith('\n')).toBe(true)
    const names = new Set<string>()
    let current = ''
    for (const line of text.trimEnd().split('\n')) {
      const [, kind, name, rest] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? []
      if (kind === 'HELP') {
        expect(names).not.toContain(name)
        names.add(name as string)
        current = name as string
      } else if (kind === 'TYPE') {
        expect(name).toBe(current)
        expect(['counter', 'gauge', 'histogram']).toContain(rest)
      } else {
        // https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
        expect(line).toMatch(/^[a-z_]+(\{([a-z_]+="([^"\\\n]|\\["\\n])*",?)+\})? [\d.e+-]+$/)
        expect(line.startsWith(current)).toBe(true)
      }
    }
    expect([...names].every(name => name.startsWith('steadysocket_'))).toBe(true)
  })

  test('counts refusals, ended sessions, closed connections and requests, with their reasons or outcomes', async () => {
    const { wss, server } = startFake({
      authorize: ({ url }) => !url.includes('no'),
      onMessage: ({ data }) => {
        if (data === 'fail') throw new Error('failed')
      },
    })
    const client = await wss.connect()
    await client.until(() => !client.isPaused)
    client.say(event(1, 1))
    client.say(event(1, 1))
    client.say(event('fail', 2))
    client.say('{"type":"joinGroup","group":"g","ackId":3}')
    client.say('{"type":"joinGroup","ackId":4}')
    await ack(client, 4)
    client.terminate()
    await client.until(() => client.end)
    const back = await wss.connect(recovery(client))
    await back.until(() => !back.isPaused)
    back.say('nonsense')
    await wss.connect('/no')
    await wss.connect('/?awps_connection_id=x')
    await eventually(() => expect(read(server.metrics())).toHaveProperty('ended_total{reason="violation"}'))
    expect(read(server.metrics())).toMatchObject({
      connections: 0,
      created_total: 1,
      resumed_total: 1,
      'refused_total{reason="authorize"}': 1,
      'refused_total{reason="session"}': 1,
      'ended_total{reason="violation"}': 1,
      'closed_total{code="1006"}': 1,
      'closed_total{code="1008"}': 1,
      'requests_total{type="event",outcome="done"}': 1,
      'requests_total{type="event",outcome="failed"}': 1,
      'requests_total{type="joinGroup",outcome="refused"}': 1,
      'requests_total{type="bad",outcome="refused"}': 1,
    })
  })

  test('counts sessions that expired, that clients ended, and whose clients were too slow', async () => {
    const { wss, server } = startFake({ sessionTimeout: 20, maxUnacknowledged: 1 })
    const [expired, left, slow] = [await wss.connect(), await wss.connect(), await wss.connect()]
    expired.terminate()
    await left.until(() => !left.isPaused)
    left.say('{"type":"endSession"}')
    for (let i = 0; i < 2; i++) await server.send(slow.frames[0].connectionId, i)
    await eventually(() =>
      expect(read(server.metrics())).toMatchObject({
        'ended_total{reason="expired"}': 1,
        'ended_total{reason="client"}': 1,
        'ended_total{reason="slow"}': 1,
      }),
    )
  })

  test('contains the pending work: requests, unacknowledged messages, and buffered bytes', async () => {
    const { wss, server } = startFake({ onMessage: () => new Promise(() => {}), handlerTimeout: Infinity })
    const client = await wss.connect()
    await client.until(() => !client.isPaused)
    for (let i = 1; i <= 3; i++) client.say(event(i, i))
    for (let i = 0; i < 5; i++) await server.send(client.frames[0].connectionId, i)
    await client.until(() => client.frames.at(-1).sequenceId === 5)
    client.say('{"type":"sequenceAck","sequenceId":2}')
    client.bufferedAmount = 77
    expect(read(server.metrics())).toMatchObject({
      connections: 1,
      requests_waiting: 3,
      unacknowledged: 3,
      unacknowledged_max: 3,
      buffered_bytes: 77,
      draining: 0,
    })
    client.bufferedAmount = 0
  })

  test('contains the times of handlers and of the store as histograms, which add up', async () => {
    const { wss, server } = startFake({
      onMessage: () => {
        const end = performance.now() + 2
        while (performance.now() < end);
      },
    })
    const client = await wss.connect()
    client.say(event(1, 1))
    await ack(client, 1)
    const samples = read(server.metrics())
    expect(samples).toMatchObject({
      'handler_seconds_count{handler="onMessage"}': 1,
      'handler_seconds_bucket{handler="onMessage",le="0.001"}': 0,
      'handler_seconds_bucket{handler="onMessage",le="+Inf"}': 1,
      'store_seconds_count{operation="create"}': 1,
      'store_seconds_count{operation="commit"}': 1,
    })
    expect(samples['handler_seconds_sum{handler="onMessage"}']).toBeGreaterThanOrEqual(0.002)
    const buckets = Object.keys(samples).filter(name =>
      name.startsWith('store_seconds_bucket{operation="create"'),
    )
    const values = buckets.map(name => samples[name] as number)
    expect(values).toEqual([...values].sort((a, b) => a - b))
    expect(values.at(-1)).toBe(1)
  })

  test('counts failed operations of the store', async () => {
    const memory = memoryStore()
    const { wss, server } = startFake({
      store: {
        open: async (...args) => ({
          ...(await memory.open(...args)),
          create: () => Promise.reject(new Error('away')),
        }),
      },
    })
    await wss.connect()
    expect(read(server.metrics())).toMatchObject({
      'store_errors_total{operation="create"}': 1,
      'store_seconds_count{operation="create"}': 1,
    })
  })

  test('counts the clients that were slowed down, warned and closed, by the limit', async () => {
    const { wss, server } = startFake({ rates: { connection: { messages: 1 } } })
    const client = await wss.connect()
    await client.until(() => !client.isPaused)
    for (let i = 0; i < 3; i++) client.say('{"type":"ping"}')
    expect(read(server.metrics())['limited_total{who="connection",step="slowed"}']).toBe(1)
  })
})
