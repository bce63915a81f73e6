// A TCP proxy that injects faults on request. A fault takes effect as soon as the test asks for it; only `delay` and `throttle` depend on
// the clock.
import { once } from 'node:events'
import net from 'node:net'
import { createWatch } from './watch.ts'

/** `up` is from the client to the server, `down` from the server to the client. */
export type Direction = 'up' | 'down'

/** The faults of one connection or, as methods of the proxy, of all current and future connections. */
export interface Faults {
  /**
   * Keeps the connection and forwards nothing. The proxy stops reading, so the kernel's buffers fill up and the sender has to wait. Bytes
   * that have already been written to the receiving side still arrive.
   */
  freeze(direction?: Direction | 'both'): void
  /** Resumes forwarding, beginning with the bytes that were held. */
  thaw(direction?: Direction | 'both'): void
  /** Delays every byte by this many milliseconds. */
  delay(ms: number, direction?: Direction | 'both'): void
  /** Limits the rate. `Infinity` removes the limit. */
  throttle(bytesPerSecond: number, direction?: Direction | 'both'): void
  /** Resets the connection after this many more bytes in this direction. `Infinity` cancels it. */
  cutAfter(bytes: number, direction: Direction): void
  /** Sends an RST to both sides. Discards the bytes that are held. */
  reset(): void
  /** Sends a FIN to the client, as a server does that has nothing more to send. The client can continue to send. */
  end(): void
}

export interface Connection extends Faults {
  /** 1 for the first connection that the proxy accepted. */
  readonly number: number
  /** The number of bytes forwarded so far. */
  readonly forwarded: Readonly<Record<Direction, number>>
  /** Resolves when both sides of the connection are closed. */
  readonly closed: Promise<void>
}

export interface FaultProxy extends Faults {
  readonly port: number
  /** The address that a WebSocket client should use. */
  url(path?: string): string
  /** The open connections, oldest first. */
  readonly connections: readonly Connection[]
  /** The number of connections accepted so far. Refused connections do not count. */
  readonly count: number
  /** Resolves when `n` connections have been accepted since the start of the proxy. */
  accepted(n: number): Promise<unknown>
  /** Resets new connections as soon as they are accepted. */
  refuse(on: boolean): void
  /**
   * Accepts new connections without connecting to the server. `thaw()` of such a connection connects it.
   */
  hang(on: boolean): void
  /** `false` closes the listening socket, so that the port refuses connections. `true` opens the same port again. */
  listen(on: boolean): Promise<void>
  /** Stops listening and resets all connections. */
  close(): Promise<void>
}

export interface ProxyOptions {
  /** Port of the server behind the proxy. */
  port: number
  /** Host of the server. Default: 127.0.0.1. */
  host?: string
  /** Port to listen on. Default: a free port. */
  listen?: number
}

/** The faults in force in one direction. */
interface ActiveFaults {
  frozen: boolean
  delay: number
  bytesPerSecond: number
  /** Bytes that may still pass before the connection is cut. */
  budget: number
}

/** What a sender did: sent bytes, ended, or reset the connection. */
interface Item {
  what: Buffer | 'end' | 'reset'
  due: number
}

// With a delay, this many bytes can be in flight. Beyond that, the sender has to wait.
const maxInFlight = 1024 * 1024

const noFaults = (): ActiveFaults => ({ frozen: false, delay: 0, bytesPerSecond: Infinity, budget: Infinity })
const each = (direction: Direction | 'both'): Direction[] =>
  direction === 'both' ? ['up', 'down'] : [direction]

/** Forwards bytes in one direction, subject to the faults. `pump` must be called after each change of the faults. */
function createForwarder(from: net.Socket, to: net.Socket, faults: ActiveFaults, reset: () => void) {
  const queue: Item[] = []
  let held = 0
  let free = 0
  let forwarded = 0
  let timer: NodeJS.Timeout | undefined

  function pump() {
    clearTimeout(timer)
    for (let head = queue[0]; head && !faults.frozen && !to.writableNeedDrain; head = queue[0]) {
      const wait = Math.max(head.due, free) - performance.now()
      if (wait > 0) {
        timer = setTimeout(pump, Math.ceil(wait))
        break
      }
      if (typeof head.what === 'string') {
        queue.shift()
        if (head.what === 'reset') return reset()
        to.end()
      } else {
        forward(head, head.what)
      }
    }
    if (faults.frozen || to.writableNeedDrain || held > maxInFlight) from.pause()
    else from.resume()
  }

  function forward(head: Item, bytes: Buffer) {
    // With a limited rate, forwards the bytes of a fiftieth of a second at a time.
    const step = Math.max(1, Math.floor(faults.bytesPerSecond / 50))
    const piece = bytes.subarray(0, Math.min(step, faults.budget))
    if (piece.length === bytes.length) queue.shift()
    else head.what = bytes.subarray(piece.length)
    held -= piece.length
    forwarded += piece.length
    faults.budget -= piece.length
    free = Math.max(free, performance.now()) + (piece.length / faults.bytesPerSecond) * 1000
    const last = faults.budget === 0
    if (last) faults.frozen = true
    // After `end()`, nothing more can be written to the client, and what the server still sends is lost.
    if (to.writable) to.write(piece, () => last && reset())
    else if (last) reset()
  }

  function push(what: Item['what']) {
    if (typeof what !== 'string') held += what.length
    queue.push({ what, due: performance.now() + faults.delay })
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
      queue.length = held = 0
    },
  }
}

type Change = (direction: Direction | 'both', change: Partial<ActiveFaults>) => void

const faultControls = (change: Change) => ({
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
  faults: Record<Direction, ActiveFaults>,
  target: net.TcpNetConnectOpts,
): { connection: Connection; change: Change } {
  const server = new net.Socket({ allowHalfOpen: true })
  client.setNoDelay(true)
  server.setNoDelay(true)

  function reset() {
    for (const forwarder of Object.values(forwarders)) forwarder.discard()
    for (const socket of [client, server]) {
      if (socket.destroyed) continue
      // Node cannot reset a socket that is connecting, or whose FIN is being written.
      const ending = socket.writableEnded && !socket.writableFinished
      if (socket.pending || ending) socket.destroy()
      else socket.resetAndDestroy()
    }
  }

  const forwarders = {
    up: createForwarder(client, server, faults.up, reset),
    down: createForwarder(server, client, faults.down, reset),
  }

  let connecting = false
  function pump() {
    // The proxy connects to the server only when it is not frozen, so the server does not see a connection that is frozen from the start.
    if (!connecting && !faults.up.frozen) {
      connecting = true
      server.connect(target)
    }
    forwarders.up.pump()
    forwarders.down.pump()
  }
  const change: Change = (direction, change) => {
    for (const one of each(direction)) Object.assign(faults[one], change)
    pump()
  }
  const closing = [client, server].map(socket => new Promise(resolve => socket.on('close', resolve)))
  pump()

  const connection: Connection = {
    number,
    closed: Promise.all(closing).then(() => {}),
    forwarded: {
      get up() {
        return forwarders.up.forwarded
      },
      get down() {
        return forwarders.down.forwarded
      },
    },
    ...faultControls(change),
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
  listen: requestedPort = 0,
}: ProxyOptions): Promise<FaultProxy> {
  const faults = { up: noFaults(), down: noFaults() }
  const live = new Map<Connection, Change>()
  const watch = createWatch()
  let listener: net.Server | undefined
  let port = requestedPort
  let count = 0
  let refusing = false
  let hanging = false

  function accept(client: net.Socket) {
    if (refusing) {
      client.resetAndDestroy()
      return
    }
    const own = { up: { ...faults.up }, down: { ...faults.down } }
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
    ...faultControls((direction, change) => {
      for (const one of each(direction)) Object.assign(faults[one], change)
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
