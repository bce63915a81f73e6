// Tests each client with each server, over a network with faults. If a client is known to violate a rule, the test and the printed table say what it does
// instead.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { cleanUp } from '../support/cleanup.ts'
import { eventually } from '../support/eventually.ts'
import { type Connection, type FaultProxy, startProxy } from '../support/proxy.ts'
import { type ClientKind, clientKinds, type Manner, type Talker } from './reliable-clients.ts'
import { type Server, type ServerKind, serverKinds } from './reliable-servers.ts'
import { dial, join, type Peer } from './server-rig.ts'

cleanUp()

interface World {
  readonly client: ClientKind
  readonly kind: ServerKind
  readonly server: Server
  readonly proxy: FaultProxy
  /** A group name that is unique to this test. */
  readonly group: string
  /** A client behind the proxy. */
  talk(manner?: Manner): Promise<Talker>
  /** A member of the group with a direct connection, which does not break. */
  watch(): Promise<Watcher>
}

interface Watcher {
  /** The messages to the group, in the order of the server. */
  readonly heard: unknown[]
  publish(data: unknown): Promise<unknown>
}

/** Waits for a condition that depends on another process. */
const until = (check: () => unknown) => eventually(check, 5)

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

const ascending = (a: unknown, b: unknown) => Number(a) - Number(b)

const watchGroup = async (peer: Peer, group: string): Promise<Watcher> => {
  const heard: unknown[] = []
  const asked = new Map<number, (ack: unknown) => void>()
  let last = 0
  const ask = (frame: object) =>
    new Promise(resolve => {
      asked.set(++last, resolve)
      peer.send({ ...frame, group, ackId: last })
    })
  peer.socket.on('message', text => {
    const { type, data, sequenceId, ackId } = JSON.parse(String(text))
    if (type === 'ack') asked.get(ackId)?.(undefined)
    if (type !== 'message') return
    heard.push(data)
    if (sequenceId % 100 === 0) peer.send({ type: 'sequenceAck', sequenceId })
  })
  await ask({ type: 'joinGroup' })
  return {
    heard,
    publish: data => ask({ type: 'sendToGroup', dataType: 'json', data, noEcho: true }),
  }
}

/** The number of bytes after which a connection breaks inside the frame `connected`. */
const greeting = async (proxy: FaultProxy) => {
  await proxy.accepted(1)
  return (proxy.connections[0]?.forwarded.down as number) - 20
}

/** Breaks two connections inside `connected`. */
const breakGreetings = async (proxy: FaultProxy, bytes: number) => {
  const { count } = proxy
  proxy.cutAfter(bytes, 'down')
  proxy.reset()
  await proxy.accepted(count + 3)
  proxy.cutAfter(Infinity, 'down')
}

const random = (length: number) => {
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[i] = (i * 2_654_435_761) >>> 13
  return bytes.buffer
}

/** If a scenario returns a text, the table shows it instead of "yes". */
const scenarios: Record<string, (world: World) => Promise<string | undefined>> = {
  'connects and sends events of each type, which are answered in order': async ({ talk }) => {
    const talker = await talk()
    expect(talker.id).toEqual(expect.any(String))
    const messages = ['text', '', 'ünï 😀 "\\\u2028', { json: [1, null, { deep: true }] }, [], random(300)]
    for (const [i, message] of messages.entries())
      expect(await talker.send(message, { id: i + 1 })).toBe('delivered')
    await until(() => expect(talker.heard).toEqual(messages))
  },

  'learns that an event was refused, and continues': async ({ talk }) => {
    const talker = await talk({ persistent: false })
    expect(await talker.send('x', { event: 'fail' })).toBe('refused')
    expect(await talker.send('y')).toBe('delivered')
    await until(() => expect(talker.heard).toEqual(['y']))
  },

  'joins groups, does not receive its own messages, and leaves': async ({ talk, group }) => {
    const [ada, bob] = [await talk(), await talk()]
    for (const talker of [ada, bob]) expect(await talker.join(group)).toBe('delivered')
    await ada.publish(group, 'to bob', { noEcho: true })
    await ada.publish(group, { to: 'both' })
    await until(() =>
      expect(bob.heard).toEqual([
        [group, 'to bob'],
        [group, { to: 'both' }],
      ]),
    )
    await until(() => expect(ada.heard).toEqual([[group, { to: 'both' }]]))
    expect(await bob.leave(group)).toBe('delivered')
    await ada.publish(group, random(20))
    await until(() => expect(ada.heard).toHaveLength(2))
    expect(ada.heard[1]).toEqual([group, random(20)])
    // Messages that the server sends to bob from now on arrive after those that he must not receive.
    await bob.send('still there')
    await until(() => expect(bob.heard.at(-1)).toBe('still there'))
    expect(bob.heard).toHaveLength(3)
  },

  'acknowledges: 1,200 messages pass a server that keeps 1,000': async ({ talk, watch, proxy, group }) => {
    const talker = await talk()
    await talker.join(group)
    const { publish } = await watch()
    const [line] = proxy.connections as [Connection]
    const { up } = line.forwarded
    await Promise.all(numbers(600).map(publish))
    // The reference client acknowledges once per second, so it can receive at most 1,000 messages per second.
    await until(() => expect(line.forwarded.up).toBeGreaterThan(up))
    await Promise.all(numbers(600).map(n => publish(600 + n)))
    await until(() => expect(talker.heard.length).toBeGreaterThanOrEqual(1_200))
    expect(talker.heard).toEqual(numbers(1_200).map(n => [group, n]))
  },

  'pings, is answered, and detects a dead connection': async ({ talk, proxy, client }) => {
    const steady = await talk({ ping: { interval: 30, timeout: 10_000 } })
    const [line] = proxy.connections as [Connection]
    const { down } = line.forwarded
    // Five answers.
    await until(() => expect(line.forwarded.down).toBeGreaterThan(down + 5 * 17))
    expect(proxy.count).toBe(1)
    steady.close()
    if (!client.noticesDeath) return 'closes a dead line only after 30 s more'
    const talker = await talk({ ping: { interval: 30, timeout: 150 } })
    const { id } = talker
    const { count } = proxy
    proxy.connections.at(-1)?.freeze('down')
    await proxy.accepted(count + 1)
    expect(await talker.send('after')).toBe('delivered')
    expect(talker.id).toBe(id)
  },

  'loses and duplicates nothing when the connection breaks between processing and acknowledgement': async ({
    client,
    talk,
    watch,
    proxy,
    group,
  }) => {
    const talker = await talk()
    await talker.join(group)
    const { heard } = await watch()
    const pay = async (word: string, id?: number) => {
      proxy.freeze('down')
      const outcome = talker.publish(group, word, { noEcho: true, ...(id && { id }) })
      await until(() => expect(heard).toContain(word))
      proxy.reset()
      proxy.thaw()
      expect(await outcome).toBe('delivered')
    }
    await pay('paid', 1_001)
    await talker.publish(group, 'next', { noEcho: true })
    await until(() => expect(heard).toContain('next'))
    expect(heard).toEqual(['paid', 'next'])
    if (client.once) return
    await pay('twice')
    await until(() => expect(heard).toEqual(['paid', 'next', 'twice', 'twice']))
    return 'once only with ids of the caller, else twice'
  },

  'resumes although `connected` was cut off, again and again': async ({ talk, proxy }) => {
    const talker = await talk()
    const { id } = talker
    const bytes = await greeting(proxy)
    const early = talker.send('early', { id: 1_001 })
    await breakGreetings(proxy, bytes)
    const late = talker.send('late', { id: 1_002 })
    expect(await Promise.all([early, late])).toEqual(['delivered', 'delivered'])
    await until(() => expect(talker.heard).toHaveLength(2))
    expect([...talker.heard].sort()).toEqual(['early', 'late'])
    expect(talker.id).toBe(id)
  },

  'sends 300 messages each way, once and in order, while the connection breaks six times': async ({
    client,
    talk,
    watch,
    proxy,
    group,
  }) => {
    const talker = await talk()
    const { id } = talker
    const bytes = await greeting(proxy)
    await talker.join(group)
    const { heard, publish } = await watch()
    const outcomes: Promise<unknown>[] = []
    let n = 0
    const batch = () => {
      for (let i = 0; i < 50; i++) {
        n++
        outcomes.push(talker.publish(group, n, { noEcho: true, id: 1_000 + n }), publish(n))
      }
    }
    const untilCut = async (bytes: number, direction: 'up' | 'down') => {
      const { count } = proxy
      proxy.cutAfter(bytes, direction)
      batch()
      // Also the next connection.
      await proxy.accepted(count + 2)
      proxy.cutAfter(Infinity, direction)
    }
    const breaks = [
      async () => {
        proxy.freeze('down')
        batch()
        await until(() => expect(heard.length).toBeGreaterThanOrEqual(n))
        proxy.reset()
        proxy.thaw()
      },
      () => untilCut(2_500, 'up'),
      () => untilCut(2_500, 'down'),
      async () => {
        batch()
        await breakGreetings(proxy, bytes)
      },
      async () => {
        batch()
        proxy.reset()
      },
      async () => {
        proxy.freeze('up')
        batch()
        proxy.end()
        proxy.reset()
        proxy.thaw()
      },
    ]
    for (const fault of breaks) await fault()
    await Promise.all(outcomes)
    await until(() => expect(talker.heard.length).toBeGreaterThanOrEqual(n))
    await until(() => expect(heard.length).toBeGreaterThanOrEqual(n))
    expect(talker.heard).toEqual(numbers(n).map(i => [group, i]))
    expect(talker.id).toBe(id)
    if (client.inOrder) {
      expect(heard).toEqual(numbers(n))
      return
    }
    expect([...heard].sort(ascending)).toEqual(numbers(n))
    return 'once only with ids of the caller, and what was sent again comes late'
  },

  'sends and receives large binary messages, with connections that break in the middle': async ({
    talk,
    proxy,
  }) => {
    const talker = await talk()
    const { id } = talker
    const large = random(700_000)
    const exchange = async (number: number, direction?: 'up' | 'down') => {
      if (direction) proxy.cutAfter(200_000, direction)
      const [line] = proxy.connections
      const outcome = talker.send(large, { id: 1_000 + number })
      if (direction) await line?.closed
      proxy.cutAfter(Infinity, 'up')
      proxy.cutAfter(Infinity, 'down')
      expect(await outcome).toBe('delivered')
      await until(() => expect(talker.heard).toHaveLength(number))
    }
    await exchange(1)
    await exchange(2, 'up')
    await exchange(3, 'down')
    for (const message of talker.heard)
      expect(Buffer.compare(Buffer.from(message as ArrayBuffer), Buffer.from(large))).toBe(0)
    expect(talker.id).toBe(id)
  },

  'leaves the session to the newest of two sockets': async ({ kind, server, talk, proxy }) => {
    const talker = await talk()
    const { secret } = talker
    const [line] = proxy.connections
    proxy.refuse(true)
    const other = await join(recovery(server, secret.id, secret.token))
    expect(other.id).toBe(secret.id)
    await line?.closed
    // The server knows now that the token has arrived.
    other.send({ type: 'ping' })
    await other.get(({ type }) => type === 'pong')
    proxy.refuse(false)
    await until(() =>
      kind.rotates ? expect(talker.heard).toEqual(['LOST']) : expect(other.end).toBeDefined(),
    )
    expect(await talker.send('here')).toBe('delivered')
    await until(() => expect(talker.heard).toContain('here'))
    if (kind.rotates) {
      expect(talker.heard).toEqual(['LOST', 'here'])
      expect(talker.id).not.toBe(secret.id)
      expect(other.end).toBeUndefined()
    } else {
      expect(talker.heard).toEqual(['here'])
      expect(talker.id).toBe(secret.id)
    }
  },

  'reports that its session is lost before it delivers anything of the next one, and joins its groups again':
    async ({ server, talk, watch, group, client, proxy }) => {
      const talker = await talk()
      const { id } = talker
      await talker.join(group)
      await talker.send('before')
      await until(() => expect(talker.heard).toEqual(['before']))
      proxy.freeze('up')
      const doubtful = talker.send('doubtful')
      await server.restart(false)
      proxy.thaw()
      await until(() => expect(talker.heard).toContain('LOST'))
      await until(() => expect(talker.id).not.toBe(id))
      expect(await talker.send('after')).toBe('delivered')
      const { publish } = await watch()
      // The client may not have joined the group again yet.
      await until(async () => {
        await publish('to all')
        expect(talker.heard).toContainEqual([group, 'to all'])
      })
      expect(talker.heard.slice(0, 2)).toEqual(['before', 'LOST'])
      if (client.once) {
        expect(await doubtful).toBe('unknown')
        expect(talker.heard).not.toContain('doubtful')
        return
      }
      expect(await doubtful).toBe('delivered')
      return 'sends messages in flight again without a report'
    },

  'continues its session when the server comes back with its store': async ({
    kind,
    server,
    talk,
    watch,
    group,
  }) => {
    if (!kind.persists) return '-'
    const talker = await talk()
    const { id } = talker
    await talker.join(group)
    const outcomes = numbers(20).map(n => talker.send(n, { id: 1_000 + n }))
    await server.restart(true)
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set(['delivered']))
    await until(() => expect(talker.heard).toHaveLength(20))
    expect([...talker.heard].sort(ascending)).toEqual(numbers(20))
    const { publish } = await watch()
    await publish('to all')
    await until(() => expect(talker.heard.at(-1)).toEqual([group, 'to all']))
    expect(talker.id).toBe(id)
  },
}

const recovery = ({ port }: Server, id: string, token: string) =>
  `ws://127.0.0.1:${port}/?awps_connection_id=${encodeURIComponent(id)}&awps_reconnection_token=${encodeURIComponent(token)}`

/** Tests of servers with invalid frames, without a client. */
const probes: Record<string, (server: Server, kind: ServerKind) => Promise<string | undefined>> = {
  'resumes nothing with a foreign or an old token': async (server, kind) => {
    const url = `ws://127.0.0.1:${server.port}/`
    const [peer, other] = [await join(url), await join(url)]
    const refuse = async (id: string, token: string) => {
      const { code } = await (await dial(recovery(server, id, token))).closed()
      expect(code).toBe(1008)
    }
    await refuse(peer.id, other.token)
    await refuse(peer.id, '')
    await refuse(peer.id, 'ü😀')
    await refuse('nobody', peer.token)
    const { code } = await (await dial(`${url}?awps_connection_id=${peer.id}`)).closed()
    expect(code).toBe(1008)
    // These attempts have not affected the session.
    expect(peer.end).toBeUndefined()
    const back = await join(recovery(server, peer.id, peer.token))
    if (!kind.rotates) return 'one token for life'
    expect(back.token).not.toBe(peer.token)
    back.send({ type: 'ping' })
    await back.get(({ type }) => type === 'pong')
    await refuse(peer.id, peer.token)
    expect(back.end).toBeUndefined()
    expect((await join(back.recovery)).id).toBe(peer.id)
  },

  'sends again what is not acknowledged, once for each connection, before what is new': async server => {
    const peer = await join(`ws://127.0.0.1:${server.port}/`)
    const say = (peer: Peer, n: number) =>
      peer.send({ type: 'event', event: 'echo', dataType: 'json', data: n, ackId: n })
    for (const n of [1, 2, 3]) say(peer, n)
    await peer.got(3)
    peer.send({ type: 'sequenceAck', sequenceId: 2 })
    peer.send({ type: 'ping' })
    await peer.get(({ type }) => type === 'pong')
    const back = await join(peer.recovery)
    for (const n of [3, 4]) say(back, n)
    expect((await back.ack(3)).error.name).toBe('Duplicate')
    expect((await back.ack(4)).success).toBe(true)
    await back.got(2)
    expect(back.frames[0].event).toBe('connected')
    expect(back.messages.map(({ sequenceId, data }) => [sequenceId, data])).toEqual([
      [3, 3],
      [4, 4],
    ])
  },

  'answers or ends a client that talks nonsense, and serves the others': async server => {
    const url = `ws://127.0.0.1:${server.port}/`
    const witness = await join(url)
    const event = { type: 'event', event: 'echo', dataType: 'text', data: 'x', ackId: 1 }
    const nonsense = [
      ...['', 'null', '7', '"x"', '[]', '{}', '{', '{"type":7}', '{"type":{}}', '{"type":"nothing"}'],
      '['.repeat(200_000),
      `{"type":"event","event":"echo","dataType":"json","ackId":1,"data":${'['.repeat(200)}`,
      ...[
        { ...event, ackId: 'x' },
        { ...event, ackId: 1.5 },
        { ...event, ackId: -1 },
        { ...event, ackId: { a: 1 } },
        { ...event, event: 7, ackId: 'x' },
        { ...event, data: 7, ackId: [] },
      ].map(frame => JSON.stringify(frame)),
    ]
    for (const text of nonsense) {
      const peer = await join(url)
      peer.raw(text)
      const said = peer.get(({ event, type }) => event === 'disconnected' || type === 'ack')
      await Promise.race([said, peer.closed()]).catch(() => {})
      peer.socket.terminate()
    }
    witness.send(event)
    expect((await witness.ack(1)).success).toBe(true)
  },
}

const columns = clientKinds.flatMap(client => serverKinds.map(({ name }) => `${client.name}, ${name}`))
const table = new Map<string, Map<string, string>>()

/** Runs a test, and writes the result into the table: for one client with a server, or, for tests of the server alone, for all clients. */
const note = async (row: string, cell: readonly string[], run: () => Promise<string | undefined>) => {
  const cells = table.get(row) ?? new Map()
  table.set(row, cells)
  for (const column of cell) cells.set(column, 'NO')
  const word = (await run()) ?? 'yes'
  for (const column of cell) cells.set(column, word)
}

/** Draws the table with a letter for each cell: `+` for yes, and others that a legend explains. */
const drawTable = (): string => {
  const letters = new Map([
    ['yes', '+'],
    ['-', '-'],
    ['NO', '!'],
  ])
  const letter = (word: string) => {
    if (!letters.has(word)) letters.set(word, 'abcdefgh'.charAt(letters.size - 3))
    return letters.get(word)
  }
  const lines = [...table].map(([row, cells]) => {
    const marks = columns.map(column => (cells.has(column) ? letter(cells.get(column) as string) : '.'))
    const half = serverKinds.length
    return `${marks.slice(0, half).join(' ')} | ${marks.slice(half).join(' ')}   ${row}`
  })
  const heads = serverKinds.map(({ name }, i) => `${i + 1} ${name}`).join(' | ')
  const numbers = serverKinds.map((_, i) => i + 1).join(' ')
  return [
    `clients: ${clientKinds.map(({ name }) => name).join(' | ')}`,
    `servers: ${heads}`,
    `${numbers} | ${numbers}`,
    ...lines,
    ...[...letters].map(([word, mark]) => `${mark}: ${word}`).slice(3),
  ].join('\n')
}

describe.each(serverKinds.filter(({ here }) => here()))('the server: $name', kind => {
  let server: Server
  let proxy: FaultProxy
  let serial = 0
  const talkers: Talker[] = []

  beforeAll(async () => {
    server = await kind.start()
  })
  afterAll(() => server.stop())
  afterEach(async () => {
    for (const talker of talkers.splice(0)) talker.close()
    await proxy?.close()
  })

  test.each(Object.entries(probes))('%s', async (name, run) => {
    await note(
      name,
      clientKinds.map(client => `${client.name}, ${kind.name}`),
      () => run(server, kind),
    )
  })

  describe.each(clientKinds)('the client: $name', client => {
    test.each(Object.entries(scenarios))('%s', async (name, run) => {
      proxy = await startProxy({ port: server.port })
      const group = `group ${++serial}`
      const world: World = {
        client,
        kind,
        server,
        proxy,
        group,
        async talk(manner) {
          const talker = await client.connect(proxy.url(), manner)
          talkers.push(talker)
          return talker
        },
        watch: async () => watchGroup(await join(`ws://127.0.0.1:${server.port}/`), group),
      }
      await note(name, [`${client.name}, ${kind.name}`], () => run(world))
    })
  })
})

afterAll(() => console.log(drawTable()))
