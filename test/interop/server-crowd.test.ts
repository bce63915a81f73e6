// Many clients of one server: the actions of one client must not end the sessions of the others.
import { describe, expect, test } from 'vitest'
import { createReliableSocket, type ReliableSocket } from '../../src/reliable.ts'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { eventually } from '../support/eventually.ts'
import { forEachStore, join, type Peer, startNode } from './server-rig.ts'

cleanUp()

const connect = async (
  url: string,
): Promise<{ socket: ReliableSocket; heard: unknown[]; gaps: unknown[] }> => {
  const socket = createReliableSocket(url, { WebSocket: (await import('ws')).WebSocket as any })
  const heard: unknown[] = []
  const gaps: unknown[] = []
  socket.on('message', ({ data }) => heard.push(data))
  socket.on('gap', gap => gaps.push(gap))
  socket.connect()
  cleanup(() => socket.close())
  return { socket, heard, gaps }
}

forEachStore(stores => {
  const limited = (options: Parameters<typeof startNode>[0] = {}) =>
    startNode({ store: stores.next(), onMessage: ({ data }, session) => session.send(data), ...options })

  describe('a message that is too large', () => {
    const large = 'x'.repeat(2_000)

    test('from a client is refused, and the session continues', async () => {
      const { url, server } = await limited({ maxMessageBytes: 1_000 })
      const peer = await join(url)
      peer.say(large, 1)
      peer.say(large)
      peer.say('small', 2)
      expect((await peer.ack(1)).error.name).toBe('TooLarge')
      expect((await peer.ack(2)).success).toBe(true)
      expect((await peer.got(1)).map(({ data }) => data)).toEqual(['small'])
      expect(server.stats).toMatchObject({ failed: 2, received: 1, violations: 0 })
    })

    test('is measured without the base64 around its bytes', async () => {
      const { url } = await limited({ maxMessageBytes: 2_000 })
      const { socket, heard } = await connect(url)
      expect(await socket.send(new Uint8Array(2_000))).toMatchObject({ status: 'delivered' })
      expect(await socket.send(new Uint8Array(2_001))).toMatchObject({ reason: 'refused' })
      await eventually(() => expect(heard).toHaveLength(1))
    })

    test('from the application is rejected, and no session is ended', async () => {
      const { url, server, errors } = await limited({
        maxUnacknowledgedBytes: 1_000,
        onMessage: ({ event }, session) => {
          if (event === 'say') session.send(large)
          else session.publish('g', large)
        },
      })
      const peers = await Promise.all(Array.from({ length: 3 }, () => join(url)))
      await expect(server.broadcast(large)).rejects.toThrow(RangeError)
      await expect(server.publish('g', large)).rejects.toThrow(RangeError)
      await expect(server.send(peers[0]?.id as string, large)).rejects.toThrow('maxUnacknowledgedBytes')
      const [first] = peers as [Peer, ...Peer[]]
      first.say('please', 1)
      expect((await first.ack(1)).error.name).toBe('RangeError')
      expect(errors).toHaveLength(1)
      expect(await server.broadcast('small')).toBe(3)
      for (const peer of peers) expect((await peer.got(1))[0].data).toBe('small')
    })

    test('from one member to a group is refused, and no session is ended', async () => {
      const { url, server, errors } = await limited({
        maxUnacknowledgedBytes: 1_000,
        onJoin: () => true,
        onPublish: () => true,
      })
      const peer = await join(url)
      peer.send({ type: 'joinGroup', group: 'g', ackId: 1 })
      peer.send({ type: 'sendToGroup', group: 'g', dataType: 'text', data: large, ackId: 2 })
      expect((await peer.ack(2)).error.name).toBe('TooLarge')
      expect(await server.publish('g', 'small')).toBe(1)
      expect(errors).toEqual([])
    })
  })

  const start = (options: Parameters<typeof startNode>[0] = {}) =>
    startNode({ store: stores.next(), onJoin: () => true, onPublish: () => true, ...options })

  describe('a group', () => {
    test('survives a burst of one member: no session is lost, and every message arrives', async () => {
      const { url } = await start({ maxUnacknowledged: 400 })
      const listeners = await Promise.all(Array.from({ length: 5 }, () => connect(url)))
      for (const { socket } of listeners) await socket.join('g')
      const { socket } = await connect(url)
      await socket.join('g')
      const burst = Array.from({ length: 2_000 }, (_, i) => i)
      const outcomes = burst.map(n => socket.publish('g', n, { noEcho: true }))
      await Promise.all(outcomes)
      for (const { heard, gaps } of listeners) {
        await eventually(() => expect(heard).toHaveLength(burst.length))
        expect(heard).toEqual(burst)
        expect(gaps).toEqual([])
      }
    })

    test('is not blocked for long by a member that does not acknowledge, which is closed with a retry-after time', async () => {
      const { url, server } = await start({ maxUnacknowledged: 50 })
      const lazy = await join(url)
      lazy.send({ type: 'joinGroup', group: 'g', ackId: 1 })
      await lazy.ack(1)
      const { socket } = await connect(url)
      await socket.join('g')
      const outcomes = Array.from({ length: 200 }, (_, n) => socket.publish('g', n, { noEcho: true }))
      await Promise.all(outcomes)
      expect((await lazy.closed()).code).toBe(1013)
      expect(lazy.messages).toHaveLength(50)
      expect(server.stats.slow).toBe(1)
    })
  })
})
