// A TCP proxy that misbehaves on command. Everything it does to the bytes happens at the moment the test says so;
// the only clocks in it are those of `delay` and `throttle`.
import { once } from 'node:events'
import net from 'node:net'
import { createWatch } from './watch.ts'

/** `up` is from the client to the server, `down` from the server to the client. */
export type Direction = 'up' | 'down'

/** What can be done to one connection, or, on the proxy, to all: those that are there and those still to come. */
export interface Faults {
  /**
   * Keeps the connection and forwards nothing. Reading stops, so the kernel's buffers fill up and the sender feels it;
   * what the far side's kernel had already been given still arrives.
   */
  freeze(direction?: Direction | 'both'): void
  /** Forwards again, first what was held. */
  thaw(direction?: Direction | 'both'): void
  /** Lets every byte arrive this many milliseconds late. */
  delay(ms: number, direction?: Direction | 'both'): void
  /** Forwards no faster than this; `Infinity` lifts it. */
  throttle(bytesPerSecond: number, direction?: Direction | 'both'): void
  /** Resets the connection as soon as this many more bytes have gone in this direction; `Infinity` lifts it. */
  cutAfter(bytes: number, direction: Direction): void
  /** RST to both sides. What is held is discarded. */
  reset(): void
  /** FIN to the client, as from a server that is done talking; the client can go on sending. */
  end(): void
}

export interface Connection extends Faults {
  /** 1 for the first that the proxy accepted. */
  readonly number: number
  /** Bytes handed on so far. */
  readonly forwarded: Readonly<Record<Direction, number>>
  /** Settles when both sides of the connection are closed. */
  readonly closed: Promise<void>
}

export interface FaultProxy extends Faults {
  readonly port: number
  /** The address that a WebSocket client should use. */
  url(path?: string): string
  /** The connections that are open now, oldest first. */
  readonly connections: readonly Connection[]
  /** How many were accepted so far; refused ones do not count. */
  readonly count: number
  /** Resolves when `n` connections have been accepted, counted from the start of the proxy. */
  accepted(n: number): Promise<unknown>
  /** Resets new connections as soon as they are accepted. */
  refuse(on: boolean): void
  /**
   * Accepts new connections and forwards nothing of them, not even the connection: the server hears nothing.
   * `thaw()` on such a connection lets it go on.
   */
  hang(on: boolean): void
  /** `false` closes the listening socket, so that the port refuses connections; `true` opens the same port again. */
  listen(on: boolean): Promise<void>
  /** Ends everything at once. Nothing keeps the process alive afterwards. */
  close(): Promise<void>
}

export interface ProxyOptions {
  /** Port of the server behind the proxy. */
  port: number
  /** Its host. Default: 127.0.0.1. */
  host?: string
  /** Port to listen on. Default: a free one. */
  listen?: number
}

/** The faults in force in one direction. */
interface Weather {
  frozen: boolean
  delay: number
  bytesPerSecond: number
  /** Bytes that may still pass before the connection is cut. */
  budget: number
}

/** What travels in a lane: bytes, or one of the two ways in which a sender stops. */
interface Item {
  what: Buffer | 'end' | 'reset'
  due: number
}

// A delayed line holds bytes in flight, as a long cable does. Beyond this the sender has to wait.
const inFlight = 1024 * 1024

const calm = (): Weather => ({ frozen: false, delay: 0, bytesPerSecond: Infinity, budget: Infinity })
const each = (direction: Direction | 'both'): Direction[] =>
  direction === 'both' ? ['up', 'down'] : [direction]

/** Carries bytes one way, through the weather. `pump` is to be called whenever the weather has changed. */
function createLane(from: net.Socket, to: net.Socket, weather: Weather, reset: () => void) {
  const line: Item[] = []
  let held = 0
  let free = 0
  let forwarded = 0
  let timer: NodeJS.Timeout | undefined

  function pump() {
    clearTimeout(timer)
    for (let head = line[0]; head && !weather.frozen && !to.writableNeedDrain; head = line[0]) {
      const wait = Math.max(head.due, free) - performance.now()
      if (wait > 0) {
        timer = setTimeout(pump, Math.ceil(wait))
        break
      }
      if (typeof head.what === 'string') {
        line.shift()
        if (head.what === 'reset') return reset()
        to.end()
      } else {
        forward(head, head.what)
      }
    }
    if (weather.frozen || to.writableNeedDrain || held > inFlight) from.pause()
    else from.resume()
  }

  function forward(head: Item, bytes: Buffer) {
    // A throttled line moves a fiftieth of a second's worth at a time.
    const step = Math.max(1, Math.floor(weather.bytesPerSecond / 50))
    const piece = bytes.subarray(0, Math.min(step, weather.budget))
    if (piece.length === bytes.length) line.shift()
    else head.what = bytes.subarray(piece.length)
    held -= piece.length
    forwarded += piece.length
    weather.budget -= piece.length
    free = Math.max(free, performance.now()) + (piece.length / weather.bytesPerSecond) * 1000
    const last = weather.budget === 0
    if (last) weather.frozen = true
    // After `end()` the client's side takes no more, and what the server still says is lost.
    if (to.writable) to.write(piece, () => last && reset())
    else if (last) reset()
  }

  function push(what: Item['what']) {
    if (typeof what !== 'string') held += what.length
    line.push({ what, due: performance.now() + weather.delay })
    pump()
  }

  from.on('data', push)
  from.on('end', () => push('end'))
  from.on('error', () => push('reset'))
  to.on('drain', pump)

  return {
    pump,
    get forwarded() {
      return forwarded
    },
    discard() {
      clearTimeout(timer)
      line.length = held = 0
    },
  }
}

type Change = (direction: Direction | 'both', change: Partial<Weather>) => void

const weatherControls = (change: Change) => ({
  freeze: (direction: Direction | 'both' = 'both') => change(direction, { frozen: true }),
  thaw: (direction: Direction | 'both' = 'both') => change(direction, { frozen: false }),
  delay: (ms: number, direction: Direction | 'both' = 'both') => change(direction, { delay: ms }),
  throttle: (bytesPerSecond: number, direction: Direction | 'both' = 'both') =>
    change(direction, { bytesPerSecond }),
  cutAfter: (bytes: number, direction: Direction) => change(direction, { budget: bytes }),
})

function createConnection(
  number: number,
  client: net.Socket,
  weather: Record<Direction, Weather>,
  target: net.TcpNetConnectOpts,
): { connection: Connection; change: Change } {
  const server = new net.Socket({ allowHalfOpen: true })
  client.setNoDelay(true)
  server.setNoDelay(true)

  function reset() {
    for (const lane of Object.values(lanes)) lane.discard()
    for (const socket of [client, server]) {
      if (socket.destroyed) continue
      // Without a connection, or with a FIN half-way out, there is nothing that the system lets us reset.
      const ending = socket.writableEnded && !socket.writableFinished
      if (socket.pending || ending) socket.destroy()
      else socket.resetAndDestroy()
    }
  }

  const lanes = {
    up: createLane(client, server, weather.up, reset),
    down: createLane(server, client, weather.down, reset),
  }

  let dialled = false
  function pump() {
    // The SYN goes up as well: a connection that is frozen from birth is unknown to the server.
    if (!dialled && !weather.up.frozen) {
      dialled = true
      server.connect(target)
    }
    lanes.up.pump()
    lanes.down.pump()
  }
  const change: Change = (direction, change) => {
    for (const one of each(direction)) Object.assign(weather[one], change)
    pump()
  }
  const closing = [client, server].map(socket => new Promise(resolve => socket.on('close', resolve)))
  pump()

  const connection: Connection = {
    number,
    closed: Promise.all(closing).then(() => {}),
    forwarded: {
      get up() {
        return lanes.up.forwarded
      },
      get down() {
        return lanes.down.forwarded
      },
    },
    ...weatherControls(change),
    reset,
    end: () => void client.end(),
  }
  return { connection, change }
}

/**
 * Starts a proxy in front of `port`.
 *
 * ```ts
 * const proxy = await startProxy({ port: server.port })
 * const socket = new WebSocket(proxy.url('/echo'))
 * await proxy.accepted(1)
 * proxy.connections[0]?.freeze()
 * ```
 */
export async function startProxy({
  port: target,
  host = '127.0.0.1',
  listen: wanted = 0,
}: ProxyOptions): Promise<FaultProxy> {
  const weather = { up: calm(), down: calm() }
  const live = new Map<Connection, Change>()
  const watch = createWatch()
  let listener: net.Server | undefined
  let port = wanted
  let count = 0
  let refusing = false
  let hanging = false

  function accept(client: net.Socket) {
    if (refusing) {
      client.resetAndDestroy()
      return
    }
    const own = { up: { ...weather.up }, down: { ...weather.down } }
    if (hanging) own.up.frozen = own.down.frozen = true
    const { connection, change } = createConnection(++count, client, own, { port: target, host })
    live.set(connection, change)
    void connection.closed.then(() => live.delete(connection))
    watch.look()
  }

  async function listen(on: boolean) {
    if (!on) {
      listener?.close()
      listener = undefined
    } else if (!listener) {
      listener = net.createServer({ allowHalfOpen: true }, accept).listen(port, '127.0.0.1')
      await once(listener, 'listening')
      port = (listener.address() as net.AddressInfo).port
    }
  }

  await listen(true)
  return {
    port,
    url: (path = '/') => `ws://127.0.0.1:${port}${path}`,
    get connections() {
      return [...live.keys()]
    },
    get count() {
      return count
    },
    accepted: n => watch.until(() => count >= n),
    refuse: on => {
      refusing = on
    },
    hang: on => {
      hanging = on
    },
    listen,
    ...weatherControls((direction, change) => {
      for (const one of each(direction)) Object.assign(weather[one], change)
      for (const apply of live.values()) apply(direction, change)
    }),
    reset: () => {
      for (const connection of live.keys()) connection.reset()
    },
    end: () => {
      for (const connection of live.keys()) connection.end()
    },
    async close() {
      await listen(false)
      const gone = [...live.keys()].map(connection => connection.closed)
      for (const connection of live.keys()) connection.reset()
      await Promise.all(gone)
    },
  }
}
