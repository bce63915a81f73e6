// A server that speaks the protocol, and the network to it, in the hands of the test: nothing moves by itself.
import { vi } from 'vitest'
import type { Endpoint } from '../../src/index.ts'
import { type CreateReliableSocket, createReliableSocket, type ReliableOptions } from '../../src/reliable.ts'
import { createFakeServer, type FakePeer, type FakeServer } from '../../src/testing.ts'
import { fresh, sent } from '../support/setup.ts'

export { fresh }

export type Frame = Record<string, any>

/** All frames that the page has sent through this connection, whether or not they have left. */
export const frames = (peer: FakePeer): Frame[] => sent(peer).map(text => JSON.parse(text as string))

/** Lets promises that are settled run, and no timer. */
export const settled = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await undefined
}

export interface Session {
  readonly id: string
  /** Any of these resumes it: the newest, and those whose `connected` may have been cut off. */
  tokens: string[]
  wire: Wire | undefined
  /** What was sent and not acknowledged. */
  unacked: { id: number; text: string }[]
  sent: number
  acked: number
  /** What was processed, by `ackId`, and in order. */
  readonly seen: Set<number>
  readonly processed: Frame[]
  readonly groups: Set<string>
}

/** One connection, with what is on its way in both directions. */
export interface Wire {
  readonly peer: FakePeer
  readonly session: Session | undefined
  /** How many frames of the client were read. */
  read: number
  readonly down: (string | { close: number })[]
  /** Whether the client has got its `connected`. */
  greeted: boolean
  /** The highest `ackId` that came on it. */
  highest: number
}

export class Server {
  readonly network: FakeServer = createFakeServer()
  readonly sessions = new Map<string, Session>()
  readonly wires: Wire[] = []
  /** Everything that the client did against the rules. */
  readonly faults: string[] = []
  /** What a message is answered with, if not success. */
  refusal: object | undefined
  /** Whether it lets sessions be resumed. If not, each connection begins a new one. */
  resumes = true
  /** Whether it says `disconnected` before it refuses. */
  explains = false
  /** Whether `connected` has the number of the newest message. */
  tellsNumber = false
  /** What it supports beyond Azure's protocol. */
  features: readonly string[] | undefined
  private count = 0

  constructor() {
    this.network.hang()
  }

  /** The newest connection, or attempt at one. */
  get latest(): FakePeer {
    return this.network.latest
  }

  get wire(): Wire {
    return this.wires.at(-1) as Wire
  }

  /** Accepts the handshake that waits. */
  accept(peer: FakePeer = this.latest): Wire {
    peer.accept('json.reliable.webpubsub.azure.v1')
    const query = new URL(peer.socket.url).searchParams
    const resumes = Array.isArray(this.features) && this.features.includes('resumeProtocol')
    const offer = resumes && peer.protocols[1]?.split('.')
    const [, wanted = null, token = ''] = offer || [
      '',
      query.get('awps_connection_id') ?? undefined,
      query.get('awps_reconnection_token') ?? undefined,
    ]
    const id = this.resumes ? wanted : null
    const known = id === null ? undefined : this.sessions.get(id)
    const may = known?.tokens.includes(token)
    const session = id === null ? this.open() : may ? known : undefined
    const wire: Wire = { peer, session, read: 0, down: [], greeted: false, highest: 0 }
    this.wires.push(wire)
    if (!session) {
      if (this.explains) this.say(wire, { type: 'system', event: 'disconnected', message: 'unknown session' })
      wire.down.push({ close: 1008 })
    } else {
      const replaced = session.wire?.peer
      if (replaced && replaced.socket.readyState < 3) replaced.close(1000, 'replaced')
      session.wire = wire
      session.tokens.push(`secret${++this.count}`)
      const reconnectionToken = session.tokens.at(-1)
      const sequenceId = this.tellsNumber ? session.sent : undefined
      this.say(wire, {
        type: 'system',
        event: 'connected',
        connectionId: session.id,
        reconnectionToken,
        sequenceId,
        features: this.features,
      })
      for (const { text } of session.unacked) wire.down.push(text)
    }
    return wire
  }

  private open(): Session {
    const session: Session = {
      id: `session${++this.count}`,
      tokens: [],
      wire: undefined,
      unacked: [],
      sent: 0,
      acked: 0,
      seen: new Set(),
      processed: [],
      groups: new Set(),
    }
    this.sessions.set(session.id, session)
    return session
  }

  say(wire: Wire, frame: object): void {
    wire.down.push(JSON.stringify(frame))
  }

  /** Sends a message, at once or when the session has a connection. */
  send(session: Session, data: unknown, more: object = {}): void {
    const id = ++session.sent
    const text = JSON.stringify({
      type: 'message',
      from: 'server',
      dataType: 'json',
      data,
      sequenceId: id,
      ...more,
    })
    session.unacked.push({ id, text })
    session.wire?.down.push(text)
  }

  /** Forgets all sessions, as a restart without a store does. */
  forget(): void {
    this.sessions.clear()
  }

  /** Reads so many frames of the client. */
  read(wire: Wire = this.wire, count = Infinity): Frame[] {
    const frames: Frame[] = []
    const { received, socket } = wire.peer
    while (frames.length < count && wire.read < received.length && socket.readyState === 1) {
      const frame = JSON.parse(received[wire.read++] as string)
      frames.push(frame)
      this.hear(wire, frame)
    }
    return frames
  }

  private hear(wire: Wire, frame: Frame): void {
    const { session } = wire
    const { type, ackId, sequenceId } = frame
    const answer = (success: boolean, error?: object) =>
      this.say(wire, { type: 'ack', ackId, success, error })
    if (!wire.greeted || !session) {
      this.faults.push(`${type} before connected`)
    } else if (type === 'ping') {
      this.say(wire, { type: 'pong' })
    } else if (type === 'endSession') {
      if (!this.features?.includes(type)) this.faults.push('endSession is not supported')
      this.sessions.delete(session.id)
    } else if (type === 'sequenceAck') {
      if (sequenceId > session.sent) this.faults.push(`acknowledged ${sequenceId} of ${session.sent}`)
      session.acked = Math.max(session.acked, sequenceId)
      session.unacked = session.unacked.filter(({ id }) => id > sequenceId)
    } else {
      if (ackId <= wire.highest) this.faults.push(`${ackId} came after ${wire.highest} on one connection`)
      wire.highest = ackId
      if (session.seen.has(ackId)) {
        answer(false, { name: 'Duplicate', message: `Message with ack-id: ${ackId} has been processed` })
      } else if (this.refusal) {
        answer(false, this.refusal)
      } else {
        session.seen.add(ackId)
        session.processed.push(frame)
        if (type === 'joinGroup') session.groups.add(frame.group)
        if (type === 'leaveGroup') session.groups.delete(frame.group)
        answer(true)
      }
    }
  }

  /** Lets so many frames arrive at the client. */
  async deliver(wire: Wire = this.wire, count = Infinity): Promise<void> {
    for (let i = 0; i < count && wire.down.length && wire.peer.socket.readyState === 1; i++) {
      const next = wire.down.shift() as string | { close: number }
      if (typeof next !== 'string') wire.peer.close(next.close)
      else {
        wire.greeted = true
        wire.peer.send(next)
      }
      await settled()
    }
  }

  /** Lets everything arrive, both ways, until nothing is on its way. */
  async exchange(wire: Wire = this.wire): Promise<void> {
    do {
      await this.deliver(wire)
      this.read(wire)
    } while (wire.down.length && wire.peer.socket.readyState === 1)
  }

  /** Accepts, greets, and answers what comes of it. */
  async connect(): Promise<Wire> {
    await settled()
    const wire = this.accept()
    await settled()
    await this.exchange(wire)
    return wire
  }

  /** Lets the client's wait pass, and connects. */
  async reconnect(): Promise<Wire> {
    await vi.advanceTimersByTimeAsync(6_000)
    return this.connect()
  }
}

const EVENTS = ['message', 'gap', 'drop', 'outcome', 'state', 'open', 'close', 'error'] as const

export type World = ReturnType<typeof world>

/** A client with all that its listeners hear, and its server: one of its own, where it is given none. */
export const world = (
  options: ReliableOptions = {},
  {
    endpoint = 'wss://push.test/feed',
    server = new Server(),
    create = createReliableSocket,
  }: { endpoint?: Endpoint; server?: Server; create?: CreateReliableSocket } = {},
) => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  const log: [type: string, payload: any][] = []
  const socket = create(endpoint, { WebSocket: server.network.WebSocket, ...options })
  for (const type of EVENTS) socket.on(type, (payload: unknown) => log.push([type, payload]))
  const heard = (type: string) => log.filter(([name]) => name === type).map(([, payload]) => payload)
  /** The session that the server has with the client now. */
  const session = () => server.wire.session as Session
  return { socket, server, log, heard, session }
}

/** What a promise has come to, as far as it has. */
export const outcomes = (...promises: Promise<unknown>[]): unknown[] => {
  const list: unknown[] = promises.map(() => 'pending')
  promises.forEach((promise, i) => {
    const note = (outcome: unknown) => {
      list[i] = outcome
    }
    promise.then(note, note)
  })
  return list
}
