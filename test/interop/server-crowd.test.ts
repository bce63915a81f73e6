// Many clients on one server: what one of them does must not cost the others their sessions.
import { describe, expect, test, vi } from 'vitest'
import { createReliableSocket, type ReliableSocket } from '../../src/reliable.ts'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { forEachStore, join, startNode } from './server-rig.ts'

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
  const start = (options: Parameters<typeof startNode>[0] = {}) =>
    startNode({ store: stores.next(), onJoin: () => true, onPublish: () => true, ...options })

  describe('a group', () => {
    test('survives a burst of one member: nobody loses the session, and every message arrives', async () => {
      const { url } = await start({ maxUnacknowledged: 400 })
      const listeners = await Promise.all(Array.from({ length: 5 }, () => connect(url)))
      for (const { socket } of listeners) await socket.join('g')
      const { socket } = await connect(url)
      await socket.join('g')
      const burst = Array.from({ length: 2_000 }, (_, i) => i)
      const outcomes = burst.map(n => socket.publish('g', n, { noEcho: true }))
      await Promise.all(outcomes)
      for (const { heard, gaps } of listeners) {
        await vi.waitFor(() => expect(heard).toHaveLength(burst.length), { timeout: 5_000 })
        expect(heard).toEqual(burst)
        expect(gaps).toEqual([])
      }
    }, 30_000)

    test('is not stopped for long by a member that does not acknowledge: that one is asked to come back later', async () => {
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
