// A reliable session that tabs share, with the package's own server.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { reliableSocketOver } from '../../src/reliable.ts'
import { protobuf } from '../../src/reliable-protobuf.ts'
import { createReliableServer, type ReliableServer } from '../../src/server.ts'
import { shareSessionIn } from '../../src/tabs/tabs.ts'
import { createWatch } from '../support/watch.ts'
import { createWorld } from './world.ts'

let wss: WebSocketServer
let server: ReliableServer
let handled: string[]
let watch: ReturnType<typeof createWatch>
const closing: { close(): void }[] = []

beforeEach(async () => {
  watch = createWatch()
  handled = []
  wss = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(wss, 'listening')
  server = createReliableServer(wss, {
    onMessage({ data }) {
      handled.push(String(data))
      watch.look()
    },
  })
  wss.on('connection', () => watch.look())
})
afterEach(async () => {
  for (const one of closing.splice(0)) one.close()
  await server.close({ timeout: 0 })
  wss.close()
  vi.unstubAllGlobals()
})

const open = (world: ReturnType<typeof createWorld>) => {
  /** Ends the connections of a tab that crashes. */
  const natives: WebSocket[] = []
  let isDead = false
  class Native extends WebSocket {
    constructor(url: string | URL, protocols?: string[]) {
      super(isDead ? 'ws://127.0.0.1:1' : url, protocols)
      natives.push(this)
    }
  }
  const {
    made: socket,
    kill,
    suspend,
  } = world.open((platform, page) =>
    reliableSocketOver(shareSessionIn(platform, page, { key: 'orders' }) as any)(
      `ws://127.0.0.1:${(wss.address() as AddressInfo).port}`,
      { WebSocket: Native as any, heartbeat: false },
    ),
  )
  const messages: unknown[] = []
  const gaps: unknown[] = []
  socket.on('message', ({ data }) => {
    messages.push(data)
    watch.look()
  })
  socket.on('gap', gap => gaps.push(gap))
  socket.on('state', watch.look)
  socket.on('open', watch.look)
  closing.push(socket)
  return {
    ...{ socket, messages, gaps, suspend },
    crash() {
      isDead = true
      kill()
      for (const native of natives) native.terminate()
    },
  }
}

const opened = (...tabs: ReturnType<typeof open>[]) =>
  watch.until(() => tabs.every(({ socket }) => socket.state.name === 'open' && socket.connectionId))

describe('tabs that share a reliable session', () => {
  test('are one client of the server, and each gets the results of its own messages', async () => {
    const world = createWorld()
    const tabs = [open(world), open(world), open(world)] as const
    await opened(...tabs)
    expect(wss.clients.size).toBe(1)
    const results = await Promise.all(
      tabs.map(({ socket }, i) => socket.send(`from ${i}`, { event: 'order' })),
    )
    expect(results.map(({ status }) => status)).toEqual(['delivered', 'delivered', 'delivered'])
    expect(handled.sort()).toEqual(['from 0', 'from 1', 'from 2'])
  })

  test('all receive each message of the server, also one that was opened later', async () => {
    const world = createWorld()
    const one = open(world)
    await opened(one)
    void server.broadcast('first')
    await watch.until(() => one.messages.length === 1)
    const two = open(world)
    await opened(two)
    void server.broadcast('second')
    await watch.until(() => one.messages.length === 2 && two.messages.length === 1)
    expect(two.messages).toEqual(['second'])
    expect(two.gaps).toEqual([])
  })

  test('continue with the session when the tab with the connection crashes: nothing is lost or repeated', async () => {
    const world = createWorld()
    const tabs = [open(world), open(world), open(world)] as const
    const [one, two, three] = tabs
    await opened(...tabs)
    const id = two.socket.connectionId
    const sent: string[] = []
    const results: Promise<{ status: string }>[] = []
    for (let i = 0; i < 50; i++) {
      for (const [index, { socket }] of [two, three].entries()) {
        sent.push(`${index} ${i}`)
        results.push(socket.send(`${index} ${i}`, { event: 'order' }))
      }
      void server.broadcast(`down ${i}`)
      if (i === 25) one.crash()
      if (i % 5 === 0) await new Promise(resolve => setImmediate(resolve))
    }
    for (const result of await Promise.all(results)) expect(result.status).toBe('delivered')
    await watch.until(() => two.messages.length >= 50 && three.messages.length >= 50)
    const down = Array.from({ length: 50 }, (_, i) => `down ${i}`)
    expect(two.messages).toEqual(down)
    expect(three.messages).toEqual(down)
    expect(handled.toSorted()).toEqual(sent.toSorted())
    for (const [index] of [two, three].entries()) {
      const own = handled.filter(text => text.startsWith(`${index} `))
      expect(own).toEqual(Array.from({ length: 50 }, (_, i) => `${index} ${i}`))
    }
    expect(two.socket.connectionId).toBe(id)
    expect([...two.gaps, ...three.gaps]).toEqual([])
  })

  test('continue with the session when one of them is closed', async () => {
    const world = createWorld()
    const [one, two] = [open(world), open(world)]
    await opened(one, two)
    const id = two.socket.connectionId
    one.socket.close()
    const result = await two.socket.send('still here', { event: 'order' })
    expect(result.status).toBe('delivered')
    expect(two.socket.connectionId).toBe(id)
  })

  test('continue with the session when a new tab is the first to join the next hub', async () => {
    const world = createWorld()
    const [holder, known] = [open(world), open(world)]
    await opened(holder, known)
    const id = known.socket.connectionId
    // Its page is busy, and another tab gets the turn to hold the connection.
    const release = known.suspend()
    const fresh = open(world)
    let queries = 0
    world.onQuery = () => {
      queries++
      watch.look()
    }
    holder.crash()
    await watch.until(() => queries > 1 || fresh.socket.connectionId)
    release()
    await opened(known, fresh)
    expect(fresh.socket.connectionId).toBe(id)
    expect(known.socket.connectionId).toBe(id)
    expect(known.gaps).toEqual([])
  })
})

test('a session with frames that are not JSON cannot be shared, and creating its socket throws', () => {
  const world = createWorld()
  for (const heartbeat of [{}, undefined, false as const]) {
    expect(() =>
      world.open((platform, page) =>
        reliableSocketOver(shareSessionIn(platform, page, { key: 'orders' }) as any)('ws://127.0.0.1:1', {
          frames: protobuf(),
          ...(heartbeat !== undefined && { heartbeat }),
        }),
      ),
    ).toThrow('Tabs can only share sessions with JSON frames: omit the option frames')
  }
})
