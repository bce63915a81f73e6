import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { byEffort } from '../support/run.ts'
import { fresh, type Session, settled, type World, world } from './world.ts'

// Connections that break at any time, with a server that follows the protocol: the guarantees of reliable sessions, checked at the client.

fresh()

type Step =
  | { do: 'send'; onLost: 'drop' | 'resend'; big: boolean }
  | { do: 'join' | 'leave'; group: string }
  | { do: 'push' | 'accept' | 'refuse' | 'cut' | 'reconnect' | 'forget' | 'kick' | 'reload' }
  | { do: 'read' | 'deliver'; count: number }
  | { do: 'pass'; time: number }

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('send' as const),
      onLost: fc.constantFrom('drop' as const, 'resend' as const),
      big: fc.nat(9).map(n => n === 0),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('join' as const, 'leave' as const),
      group: fc.constantFrom('a', 'b'),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('push' as const) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('accept' as const) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom('read' as const, 'deliver' as const),
      count: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('pass' as const), time: fc.constantFrom(0, 300, 1_000, 6_000) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'cut' as const,
        'cut' as const,
        'refuse' as const,
        'reconnect' as const,
        'kick' as const,
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('forget' as const, 'reload' as const) }) },
)

/** The number of runs. `RUNS=20000` makes a long test. */
const RUNS = Number(process.env.RUNS ?? byEffort(300, 2_000))

/** A retry function that never gives up. */
const retry = () => 500

interface Sent {
  readonly n: number
  readonly onLost: 'drop' | 'resend'
  outcome: string | undefined
}

class Walk {
  private w: World
  private readonly sessions: Session[] = []
  /** The messages that the server has sent to each session. */
  private readonly pushed = new Map<Session, number[]>()
  private readonly sent: Sent[] = []
  /** The groups that must be joined at the end. */
  private readonly groups = new Set<string>()
  private count = 0
  /** The events of the client: messages, and gaps. */
  private heard: (number | 'gap')[] = []
  private gaps = 0
  /** The number of the current page. Events of an earlier page after its `save()` are ignored. */
  private page = 0
  private doubtful = new Set<number>()
  private again = new Set<number>()

  constructor() {
    this.w = world({ retry })
    this.listen()
  }

  private listen(): void {
    const { socket } = this.w
    const page = ++this.page
    socket.on('message', ({ data }) => this.heard.push(data as number))
    socket.on('gap', gap => {
      if (page !== this.page) return
      if (gap.reason !== 'session') throw new Error('numbers that jump')
      this.gaps++
      this.heard.push('gap')
      for (const { data } of gap.unknown) this.doubtful.add(number(data))
      for (const { type, data } of gap.resent) if (type === 'event') this.again.add(number(data))
    })
  }

  private get wire() {
    const { wire } = this.w.server
    return wire?.peer.socket.readyState === 1 ? wire : undefined
  }

  /** Accepts the pending handshake. */
  private get attempt() {
    const peer = this.w.server.network.connections.at(-1)
    return peer?.socket.readyState === 0 ? peer : undefined
  }

  async take(step: Step): Promise<void> {
    const { server, socket } = this.w
    if (step.do === 'send') {
      const { onLost, big } = step
      const sent: Sent = { n: ++this.count, onLost, outcome: undefined }
      this.sent.push(sent)
      const data = big ? `${sent.n}:${'x'.repeat(600_000)}` : sent.n
      socket.send(data, { onLost }).then(({ status }) => {
        sent.outcome = status
      })
    } else if (step.do === 'join' || step.do === 'leave') {
      if (step.do === 'join') this.groups.add(step.group)
      else this.groups.delete(step.group)
      socket[step.do](step.group)
    } else if (step.do === 'push') this.push()
    else if (step.do === 'accept') this.accept()
    else if (step.do === 'refuse') this.attempt?.refuse()
    else if (step.do === 'cut') this.cut()
    else if (step.do === 'kick') {
      const { wire } = this
      if (wire?.session) {
        server.sessions.delete(wire.session.id)
        if (wire.greeted) server.say(wire, { type: 'system', event: 'disconnected' })
        wire.down.push({ close: 1008 })
      }
    } else if (step.do === 'reconnect') socket.reconnect()
    else if (step.do === 'forget') {
      server.forget()
      this.wire?.peer.close(1012)
    } else if (step.do === 'reload') await this.reload()
    else if (step.do === 'read') {
      if (this.wire) server.read(this.wire, step.count)
    } else if (step.do === 'deliver') {
      if (this.wire) await server.deliver(this.wire, step.count)
    } else if (step.do === 'pass') await vi.advanceTimersByTimeAsync(step.time)
    await settled()
    expect(this.w.server.faults).toEqual([])
  }

  private push(): void {
    const session = this.sessions.at(-1)
    if (!session || !this.w.server.sessions.has(session.id)) return
    const list = this.pushed.get(session) as number[]
    list.push(++this.count)
    this.w.server.send(session, this.count)
  }

  /** Closes the connection with a close frame or without one. An attempt can only fail. */
  private cut(): void {
    const peer = this.w.server.network.connections.at(-1)
    if (!peer || peer.socket.readyState === 3) return
    if (peer === this.wire?.peer && this.count % 2 === 0) peer.close(1012)
    else peer.drop()
  }

  private accept(): void {
    const { attempt } = this
    if (!attempt) return
    const { session } = this.w.server.accept(attempt)
    if (session && !this.sessions.includes(session)) {
      this.sessions.push(session)
      this.pushed.set(session, [])
    }
  }

  /** Another page continues the session. The results of the old page's promises are lost. */
  private async reload(): Promise<void> {
    const saved = this.w.socket.save()
    this.page++
    const { sent, waiting } = JSON.parse(saved)
    const kept = new Set([...sent, ...waiting].map(({ frame }) => number(JSON.parse(frame).data)))
    const { server } = this.w
    for (const sent of this.sent) if (sent.outcome === undefined && kept.has(sent.n)) sent.outcome = 'moved'
    const before = this.sent.map(({ outcome }) => outcome)
    this.wire?.peer.drop()
    this.w.socket.close()
    await settled()
    await vi.advanceTimersByTimeAsync(0)
    this.sent.forEach((sent, i) => {
      sent.outcome = before[i]
    })
    this.w = world({ saved, retry }, { server })
    this.listen()
  }

  async finish(): Promise<void> {
    const { server } = this.w
    for (let i = 0; i < 60; i++) {
      await this.take({ do: 'pass', time: 1_000 })
      this.accept()
      await settled()
      if (this.wire) await server.exchange(this.wire)
    }
    await vi.advanceTimersByTimeAsync(2_000)
    if (this.wire) server.read(this.wire)
    this.check()
  }

  private check(): void {
    const { server, socket } = this.w
    expect(server.faults).toEqual([])
    expect(socket.state.name).toBe('open')
    expect(socket.stats).toMatchObject({ inFlight: 0, inFlightBytes: 0, queued: 0, queuedBytes: 0 })
    const times = new Map<number, number>()
    for (const { processed } of this.sessions) {
      const numbers = processed.flatMap(({ type, data }) => (type === 'event' ? [number(data)] : []))
      // I2, and I1: ascending is also once.
      expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b))
      for (const n of numbers) times.set(n, (times.get(n) ?? 0) + 1)
    }
    for (const { n, onLost, outcome } of this.sent) {
      const count = times.get(n) ?? 0
      const name = `${n} ${onLost}: ${outcome}, ${count} times`
      expect(outcome, name).toBeDefined()
      // I3: a message is removed only if it is acknowledged, or its outcome is reported.
      if (outcome === 'delivered') expect(count, name).toBeGreaterThan(0)
      if (outcome === 'unknown') expect(this.doubtful.has(n), name).toBe(true)
      if (outcome === 'moved' && !this.doubtful.has(n)) expect(count, name).toBeGreaterThan(0)
      if (onLost === 'resend') expect(outcome, name).toMatch(/delivered|moved/)
      if (count > 1) expect(this.again.has(n), name).toBe(true)
    }
    // Messages from the server: those of each session from the first on, with none missing, and a gap before those of the next session.
    const last = this.sessions.at(-1) as Session
    const parts: number[][] = [[]]
    for (const news of this.heard) {
      if (news === 'gap') parts.push([])
      else parts.at(-1)?.push(news)
    }
    const wanted = this.sessions.map(session => this.pushed.get(session) as number[])
    const isStart = (part: number[], whole: number[]) => part.every((n, i) => n === whole[i])
    let next = 0
    for (const part of parts) {
      if (!part.length) continue
      while (next < wanted.length && !isStart(part, wanted[next] as number[])) next++
      expect(next, `${JSON.stringify(parts)} of ${JSON.stringify(wanted)}`).toBeLessThan(wanted.length)
      next++
    }
    expect(parts.at(-1)).toEqual(this.pushed.get(last))
    expect(last.unacked).toEqual([])
    expect([...last.groups].sort()).toEqual([...this.groups].sort())
    expect(this.gaps).toBeLessThan(this.sessions.length)
  }

  end(): void {
    this.w.socket.close()
  }
}

const number = (data: unknown): number => Number.parseInt(`${data}`, 10)

test('each message arrives once and in order, both ways, wherever the connection breaks (random steps)', {
  timeout: 3_600_000,
}, async () => {
  const story = fc.array(step, { minLength: 1, maxLength: 60, size: 'max' })
  await fc.assert(
    fc.asyncProperty(story, async steps => {
      vi.clearAllTimers()
      const walk = new Walk()
      for (const step of steps) await walk.take(step)
      await walk.finish()
      walk.end()
      await vi.advanceTimersByTimeAsync(0)
      expect(vi.getTimerCount()).toBe(0)
    }),
    { numRuns: RUNS },
  )
})
