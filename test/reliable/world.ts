// A fake server with the protocol of reliable sessions, and a fake network. Frames are transferred only when the test says so.
import { vi } from 'vitest'
import type { Endpoint } from '../../src/index.ts'
import { type CreateReliableSocket, createReliableSocket, type ReliableOptions } from '../../src/reliable.ts'
import { createFakeServer, type FakePeer, type FakeServer } from '../../src/testing.ts'
import { fresh, sent } from '../support/setup.ts'

export { fresh }

export type Frame = Record<string, any>

/** All frames that the page has sent through this connection, whether or not they have left. */
export const frames = (peer: FakePeer): Frame[] => sent(peer).map(text => JSON.parse(text as string))

/** Runs all microtasks, and no timers. */
export const settled = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await undefined
}

export interface Session {
  readonly id: string
  /** The valid tokens: the newest one, and those whose `connected` frame may not have arrived. */
  tokens: string[]
  wire: Wire | undefined
  /** The messages that were sent and are not acknowledged. */
  unacked: { id: number; text: string }[]
  sent: number
  acked: number
  /** The processed frames, by `ackId`, and in order. */
  readonly seen: Set<number>
  readonly processed: Frame[]
  readonly groups: Set<string>
}

/** One connection, with the frames in flight in both directions. */
export interface Wire {
  readonly peer: FakePeer
  readonly session: Session | undefined
  /** The number of frames of the client that were read. */
  read: number
  readonly down: (string | { close: number })[]
  /** Whether the client has received `connected`. */
  greeted: boolean
  /** The highest `ackId` that was received on it. */
  highest: number
}

export class Server {
  readonly network: FakeServer = createFakeServer()
  readonly sessions = new Map<string, Session>()
  readonly wires: Wire[] = []
  /** All violations of the protocol by the client. */
  readonly faults: string[] = []
  /** The error with which messages are answered, if any. */
  refusal: object | undefined
  /** Whether sessions can be resumed. Otherwise, each connection begins a new one. */
  resumes = true
  /** Whether it sends `disconnected` before it refuses a session. */
  explains = false
  /** Whether `connected` contains the number of the newest message. */
  tellsNumber = false
  /** The features that it supports in addition to Azure's protocol. */
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

  /** Accepts the pending handshake. */
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

  /** Reads this many frames of the client. */
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

  /** Delivers this many frames to the client. */
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

  /** Transfers all frames in both directions, until none is in flight. */
  async exchange(wire: Wire = this.wire): Promise<void> {
    do {
      await this.deliver(wire)
      this.read(wire)
    } while (wire.down.length && wire.peer.socket.readyState === 1)
  }

  /** Accepts a connection, and transfers all frames. */
  async connect(): Promise<Wire> {
    await settled()
    const wire = this.accept()
    await settled()
    await this.exchange(wire)
    return wire
  }

  /** Advances past the client's delay, and connects. */
  async reconnect(): Promise<Wire> {
    await vi.advanceTimersByTimeAsync(6_000)
    return this.connect()
  }
}

const EVENTS = ['message', 'gap', 'drop', 'outcome', 'state', 'open', 'close', 'error'] as const

export type World = ReturnType<typeof world>

/** Creates a client that records its events, and a server, unless one is passed. */
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
  /** The current session of the client on the server. */
  const session = () => server.wire.session as Session
  return { socket, server, log, heard, session }
}

/** The results of promises. Those that are not settled are 'pending'. */
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
