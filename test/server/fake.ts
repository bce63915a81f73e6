// A fake WebSocketServer without a network, so that tests can send ten thousand requests per second.
import { EventEmitter } from 'node:events'
import type { WebSocketLike, WebSocketServerLike } from '../../src/server.ts'

export class FakeSocket extends EventEmitter implements WebSocketLike {
  readonly protocol = 'json.reliable.webpubsub.azure.v1'
  readyState = 1
  bufferedAmount = 0
  /** Whether it answers pings, as a connected client does. */
  alive = true
  isPaused = false
  /** All frames that the server has sent, parsed. */
  readonly frames: any[] = []
  end: { code: number; reason: string } | undefined
  /** The messages and pongs that the server has not read. */
  #held: ['message' | 'pong', ...unknown[]][] = []

  #undone: (() => void)[] = []

  send(text: string, done: () => void = () => {}): void {
    if (this.readyState !== 1) return
    this.frames.push(JSON.parse(text))
    if (this.bufferedAmount) this.#undone.push(done)
    else queueMicrotask(done)
    this.emit('frame')
  }

  /** Simulates that the network has accepted all sent data. */
  drain(): void {
    this.bufferedAmount = 0
    for (const done of this.#undone.splice(0)) done()
  }

  /** Sends a message of the client. */
  say(data: string | Uint8Array, isBinary = typeof data !== 'string'): void {
    this.#held.push(['message', Buffer.from(data as string), isBinary])
    this.#flow()
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
    this.#flow()
    this.emit('frame')
  }

  /** A connected client answers a ping, after the messages that it has sent before. */
  ping(data: string | Buffer = ''): void {
    if (this.readyState !== 1 || !this.alive) return
    queueMicrotask(() => {
      this.#held.push(['pong', Buffer.from(data as string)])
      this.#flow()
    })
  }

  close(code = 1005, reason = ''): void {
    if (this.readyState !== 1) return
    this.readyState = 2
    queueMicrotask(() => this.#gone(code, reason))
  }

  terminate(): void {
    queueMicrotask(() => this.#gone(1006, ''))
  }

  /** The number of messages that have not been read. */
  get unread(): number {
    return this.#held.filter(([type]) => type === 'message').length
  }

  #flow() {
    while (!this.isPaused && this.readyState < 3) {
      const next = this.#held.shift()
      if (!next) return
      this.emit(...next)
    }
  }

  #gone(code: number, reason: string) {
    if (this.end) return
    this.readyState = 3
    this.end = { code, reason }
    this.emit('close', code, Buffer.from(reason))
    this.emit('frame')
  }

  /** Resolves with the result of `find()` as soon as it is defined. It is called again after each event. */
  until<Found>(find: () => Found | undefined | false): Promise<Found> {
    return new Promise(resolve => {
      const look = () => {
        const found = find()
        if (!found) return
        this.off('frame', look)
        resolve(found)
      }
      this.on('frame', look)
      look()
    })
  }
}

export class FakeServer extends EventEmitter implements WebSocketServerLike {
  readonly options = {}

  /** Connects a client. Resolves when it has received a frame, or was closed. */
  async connect(url = '/', alive = true): Promise<FakeSocket> {
    const socket = new FakeSocket()
    socket.alive = alive
    this.emit('connection', socket, { url, headers: {} })
    await socket.until(() => socket.frames.length > 0 || socket.end)
    return socket
  }
}
