// A server that executes calls in JSON-RPC 2.0 and logs them. The log outlives restarts, and the tests of calls compare the results with it.
//
//   do [number]              executes the call, and answers with the number; a number that 50 divides is answered with an error
//   subscribe ["news", { after }]   sends every item of the news after that one, then each new one
//   subscribe ["now"]        sends each new item of the news
//   subscribe ["secret"]     is refused
//   ping                     is answered with the text `pong`
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'

export interface CallsServer {
  readonly port: number
  /** How often each call was executed, by its number. */
  readonly executed: ReadonlyMap<number, number>
  /** How many connections there are. */
  readonly connections: number
  /** How many items the news have. */
  readonly items: number
  /** Adds an item to the news, and sends it to those who have subscribed. */
  publish(): void
  /** Closes all connections with this code. */
  closeAll(code: number, reason?: string): void
  /** Cuts all connections, and listens again on the same port. */
  restart(): Promise<void>
  stop(): Promise<void>
}

/** `delay` says how many milliseconds a call takes. */
export async function startCallsServer(delay: () => number = () => 0): Promise<CallsServer> {
  const executed = new Map<number, number>()
  const subscribers = new Map<WebSocket, string[]>()
  let items = 0
  let keys = 0
  let port = 0
  let server: WebSocketServer

  const send = (socket: WebSocket, frame: object) => socket.send(JSON.stringify({ jsonrpc: '2.0', ...frame }))
  const sendItem = (socket: WebSocket, subscription: string, result: number) =>
    send(socket, { method: 'subscription', params: { subscription, result } })

  const execute = (socket: WebSocket, id: number, number: number) => {
    executed.set(number, (executed.get(number) ?? 0) + 1)
    const reply = () =>
      send(socket, number % 50 ? { id, result: number } : { id, error: { code: number, message: 'refused' } })
    const ms = delay()
    if (ms) setTimeout(reply, ms)
    else reply()
  }

  const subscribe = (
    socket: WebSocket,
    id: number,
    [name, { after = items } = {}]: [string, { after?: number }?],
  ) => {
    if (name === 'secret') return send(socket, { id, error: { code: 403, message: 'forbidden' } })
    const key = `${name}-${++keys}`
    send(socket, { id, result: key })
    for (let item = after + 1; item <= items; item++) sendItem(socket, key, item)
    subscribers.set(socket, [...(subscribers.get(socket) ?? []), key])
  }

  const receive = (socket: WebSocket, text: string) => {
    const { id, method, params } = JSON.parse(text)
    if (method === 'do') execute(socket, id, params[0])
    else if (method === 'subscribe') subscribe(socket, id, params)
    else if (method === 'unsubscribe') {
      subscribers.set(socket, subscribers.get(socket)?.filter(key => key !== params[0]) ?? [])
      send(socket, { id, result: true })
    } else if (method === 'ping') socket.send('pong')
  }

  const listen = async () => {
    server = new WebSocketServer({ port, host: '127.0.0.1' })
    server.on('connection', socket => {
      socket.on('message', data => receive(socket, `${data}`))
      socket.on('close', () => subscribers.delete(socket))
      // A close event follows.
      socket.on('error', () => {})
    })
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
  }

  const stop = async () => {
    const closed = once(server, 'close')
    server.close()
    for (const client of server.clients) client.terminate()
    await closed
  }

  await listen()
  return {
    port,
    executed,
    get connections() {
      return server.clients.size
    },
    get items() {
      return items
    },
    publish() {
      items++
      for (const [socket, all] of subscribers) for (const key of all) sendItem(socket, key, items)
    },
    closeAll(code, reason) {
      for (const client of server.clients) client.close(code, reason)
    },
    async restart() {
      await stop()
      await listen()
    },
    stop,
  }
}
