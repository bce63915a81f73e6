// Live data: market data as text, and a drawing pad as binary data.
import { randomInt } from 'node:crypto'
import { WebSocketServer } from 'ws'
import { logs } from './log.mjs'

const tickEvery = 250
const maxBacklog = 1024 * 1024
const maxPayload = 4 * 1024

const symbols = ['WAVE', 'TIDE', 'REEF']
const ping = Buffer.from('ping')

/** The sizes of the pad's frames, by kind. They are big-endian: kind, colour, sender (2 bytes), x and y (2 bytes each), and for a stroke also its end. */
const sizes = { 1: 8, 2: 12, 3: 4 }
const [cursor, clear] = [1, 3]

/** `leads()`: whether this node generates the prices for all nodes. */
export const createLive = (world, leads) => {
  const server = new WebSocketServer({ noServer: true, maxPayload })
  let strokes = []

  const deliver = (client, data) => {
    if (client.bufferedAmount > maxBacklog) client.terminate()
    else client.send(data)
  }

  const complain = (client, message) => client.send(JSON.stringify({ kind: 'error', message }))

  const onPad = (client, data) => {
    if (sizes[data[0]] !== data.length) {
      return complain(client, `this is no frame of the pad: kind ${data[0]}, ${data.length} bytes`)
    }
    // The server sets the sender, so that clients cannot draw in the name of others.
    data.writeUInt16BE(client.seat, 2)
    const log = data[0] === cursor ? world.cursors : world.strokes
    log.append(data)
  }

  const pass = data => {
    const seat = data.readUInt16BE(2)
    for (const client of server.clients) if (client.seat !== seat) deliver(client, data)
  }

  const onText = (client, data) => {
    if (data.equals(ping)) return client.send('pong')
    let quote
    try {
      quote = JSON.parse(data.toString())
    } catch {}
    const { type, symbol, value } = quote ?? {}
    if (type !== 'quote' || !symbols.includes(symbol) || !Number.isFinite(value)) {
      return complain(client, "expected {type: 'quote', symbol, value}")
    }
    client.send(JSON.stringify({ kind: 'quote', symbol, value }))
  }

  server.on('connection', client => {
    // Random, because a node does not know which numbers the other nodes have assigned.
    client.seat = randomInt(1, 65_536)
    client.on('error', () => {})
    client.on('message', (data, isBinary) => (isBinary ? onPad(client, data) : onText(client, data)))
    client.send(JSON.stringify({ kind: 'hello', symbols, seat: client.seat }))
    // All strokes are sent in one message, one after the other.
    if (strokes.length) client.send(Buffer.concat(strokes))
  })

  const listening = [
    world.strokes.subscribe(data => {
      if (data[0] === clear) strokes = []
      else strokes.push(data)
      if (strokes.length > logs.strokes) strokes.shift()
      pass(data)
    }),
    world.cursors.subscribe(pass),
    world.ticks.subscribe(prices => {
      const data = JSON.stringify({ kind: 'tick', prices })
      for (const client of server.clients) deliver(client, data)
    }),
  ]

  const ticks = setInterval(() => {
    if (!leads()) return
    const last = world.ticks.entries.at(-1) ?? [142, 87, 23]
    const moved = last.map(price => Math.max(1, price * (1 + (Math.random() - 0.5) * 0.004)))
    world.ticks.append(moved.map(price => Number(price.toFixed(3))))
  }, tickEvery)

  return {
    servers: { '/live': server },
    stop() {
      clearInterval(ticks)
      for (const unsubscribe of listening) unsubscribe()
    },
  }
}
