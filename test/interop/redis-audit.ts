// Sends messages to the clients of two nodes in every possible way, and checks them: a message may be missing only if a gap was reported before the next
// message arrived.
import type { IncomingMessage } from 'node:http'
import { WebSocket } from 'ws'
import { backoff } from '../../src/index.ts'
import { createReliableSocket } from '../../src/reliable.ts'
import type { ReliableServerOptions, Store } from '../../src/server.ts'
import { cleanup } from '../support/cleanup.ts'
import { createWatch } from '../support/watch.ts'
import { type Node, startNode } from './server-rig.ts'

/** A message that one client must receive. */
interface Sent {
  readonly n: number
  /** Messages of one stream are stored in the order of their numbers. */
  readonly stream: string
  readonly session: string
  /** When it was sent, and when the promise of the sender resolved, so that it is stored for this session. */
  readonly called: number
  stored: number | undefined
  received: string | undefined
}

let counter = 0

const createClient = (index: number, node: Node, isAway: () => boolean) => {
  const sent = new Map<number, Sent>()
  const faults: string[] = []
  const { look, until } = createWatch()
  const endpoint = () => {
    if (isAway()) throw new Error('away')
    return node.url
  }
  const socket = createReliableSocket<any>(endpoint, {
    WebSocket,
    wake: false,
    retry: backoff({ base: 50, max: 300 }),
    heartbeat: { interval: 1_000, timeout: 1_000 },
  })
  cleanup(() => socket.close())
  const client = {
    index,
    socket,
    sent,
    faults,
    until,
    gaps: 0,
    /** Records a message that is being sent. */
    expect(n: number, stream: string, session: string): Sent {
      const one = { n, stream, session, called: ++counter, stored: undefined, received: undefined }
      sent.set(n, one)
      return one
    },
  }
  socket.on('message', ({ data }) => {
    const one = sent.get(data.n) as Sent
    const session = socket.connectionId as string
    if (one.received === session) faults.push(`client ${index}: ${one.n} came twice`)
    one.received = session
    look()
  })
  socket.on('gap', () => {
    client.gaps++
    look()
  })
  socket.on('open', look)
  return client
}

type Client = ReturnType<typeof createClient>

/** Returns the faults in the messages that a client has received. */
const faultsOf = ({ index, socket, sent, faults }: Client): string[] => {
  const all = [...sent.values()]
  const found = [...faults]
  for (const lost of all) {
    const { n, stream, session, stored, received } = lost
    if (stored === undefined || received === session) continue
    if (session === socket.connectionId) found.push(`client ${index}: ${n} never came`)
    const later = all.find(
      one => one.received === session && (one.called > stored || (one.stream === stream && one.n > n)),
    )
    if (later) found.push(`client ${index}: ${n} never came, but ${later.n} did, in the same session`)
  }
  return found
}

export interface Result {
  readonly faults: readonly string[]
  /** The number of clients that received a gap event. */
  readonly gaps: number
  readonly received: number
  /** The number of messages that were stored, but not received. */
  readonly lost: number
}

export interface Audit {
  readonly nodes: readonly Node[]
  /** Closes the connections of all clients. Returns a function that lets them reconnect. */
  leave(): void
  comeBack(): void
  /** Waits until this many messages were sent. */
  flow(count: number): Promise<void>
  /** Pauses the traffic. Resolves when no message is in flight. */
  pause(): Promise<void>
  /** Ends the traffic, and resolves with the result. */
  finish(): Promise<Result>
}

const PAUSE = 3

export const startAudit = async (
  store: (node: number) => Store,
  options: ReliableServerOptions<IncomingMessage> = {},
): Promise<Audit> => {
  const nodes: Node[] = []
  for (let i = 0; i < 2; i++) {
    const node = await startNode({
      store: store(i),
      sessionTimeout: 20_000,
      authorize: () => ({ groups: ['all'] }),
      onMessage: ({ data }, session) => session.send(data),
      ...options,
    })
    nodes.push(node)
  }
  let isAway = false
  const clients = Array.from({ length: 6 }, (_, i) => createClient(i, nodes[i % 2] as Node, () => isAway))
  await Promise.all(clients.map(({ socket, until }) => until(() => socket.state.name === 'open')))
  let n = 0
  let isOver = false
  const pending = new Set<Promise<void>>()
  const track = (work: Promise<void>) => {
    pending.add(work)
    work.catch(() => {}).finally(() => pending.delete(work))
  }
  const isOpen = ({ socket }: Client) => socket.state.name === 'open'

  const sendTo = async (client: Client, from: Node) => {
    const id = client.socket.connectionId as string
    const one = client.expect(++n, from.url, id)
    if ((await from.server.send(id, { n: one.n })) > 0) one.stored = ++counter
  }
  const publish = async (from: Node) => {
    const number = ++n
    const all = clients.map(client => client.expect(number, from.url, client.socket.connectionId ?? ''))
    const open = clients.map(isOpen)
    const reached = await from.server.publish('all', { n: number })
    // If a client was disconnected, or began another session meanwhile, it is unknown which session the message has reached.
    if (reached < clients.length) return
    all.forEach((one, i) => {
      if (open[i] && clients[i]?.socket.connectionId === one.session) one.stored = ++counter
    })
  }
  const sendEvent = async (client: Client) => {
    const id = client.socket.connectionId as string
    const one = client.expect(++n, `client ${client.index}`, id)
    const { status } = await client.socket.send({ n: one.n })
    if (status === 'delivered' && client.socket.connectionId === id) one.stored = ++counter
  }

  let turn = 0
  const step = () => {
    const from = nodes[turn % 2] as Node
    const client = clients[(turn * 5) % clients.length] as Client
    turn++
    if (turn % 7 === 0) track(publish(from))
    else if (!client.socket.connectionId) return
    else if (turn % 3 === 0 && !isAway) track(sendEvent(client))
    else track(sendTo(client, from))
  }
  let isPaused = false
  const run = async () => {
    while (!isOver) {
      // Limits the number of pending calls while Redis does not respond.
      if (pending.size < 500 && !isPaused) step()
      await new Promise(resolve => setTimeout(resolve, PAUSE))
    }
  }
  const traffic = run()

  const sendLast = async (client: Client) => {
    const { socket, until } = client
    const last = client.expect(++n, `client ${client.index}`, 'last')
    const outcome = await socket.send({ n: last.n }, { onLost: 'resend' })
    if (outcome.status !== 'delivered')
      throw new Error(`client ${client.index}, its last message: ${JSON.stringify(outcome)}`)
    await until(() => last.received === socket.connectionId)
  }

  return {
    nodes,
    leave() {
      isAway = true
      for (const { wss } of nodes) for (const socket of wss.clients) socket.terminate()
    },
    comeBack() {
      isAway = false
    },
    async pause() {
      isPaused = true
      await Promise.allSettled(pending)
    },
    async flow(count) {
      isPaused = false
      const goal = turn + count
      while (turn < goal) await new Promise(resolve => setTimeout(resolve, PAUSE))
    },
    async finish() {
      isOver = true
      await traffic
      await Promise.allSettled(pending)
      // All messages before it have arrived.
      await Promise.all(clients.map(sendLast))
      const all = clients.flatMap(({ sent }) => [...sent.values()])
      return {
        faults: clients.flatMap(faultsOf),
        gaps: clients.filter(({ gaps }) => gaps).length,
        received: all.filter(({ received }) => received).length,
        lost: all.filter(({ stored, received, session }) => stored && received !== session).length,
      }
    },
  }
}
