// Live data: a market as text, and a drawing pad as binary.
import { WebSocketServer } from 'ws'

const tickEvery = 250
const maxBacklog = 1024 * 1024
const maxPayload = 4 * 1024
/** What a visitor who comes later is shown of the drawing. */
const maxStrokes = 4_000

const symbols = ['WAVE', 'TIDE', 'REEF']
const ping = Buffer.from('ping')

/** The frames of the pad, big-endian: kind, colour, who (2 bytes), x and y (2 bytes each), for a stroke where it ends too. */
const sizes = { 1: 8, 2: 12, 3: 4 }
const [, stroke, clear] = [1, 2, 3]

export const createLive = () => {
  const server = new WebSocketServer({ noServer: true, maxPayload })
  const prices = [142, 87, 23]
  let strokes = []
  let seats = 0

  const deliver = (client, data) => {
    if (client.bufferedAmount > maxBacklog) client.terminate()
    else client.send(data)
  }

  const complain = (client, message) => client.send(JSON.stringify({ kind: 'error', message }))

  const onPad = (client, data) => {
    if (sizes[data[0]] !== data.length) {
      return complain(client, `this is no frame of the pad: kind ${data[0]}, ${data.length} bytes`)
    }
    // Nobody draws in somebody else's name.
    data.writeUInt16BE(client.seat, 2)
    if (data[0] === clear) strokes = []
    if (data[0] === stroke) strokes.push(data)
    if (strokes.length > maxStrokes) strokes.shift()
    for (const other of server.clients) if (other !== client) deliver(other, data)
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
    seats = (seats % 65_535) + 1
    client.seat = seats
    client.on('error', () => {})
    client.on('message', (data, isBinary) => (isBinary ? onPad(client, data) : onText(client, data)))
    client.send(JSON.stringify({ kind: 'hello', symbols, seat: client.seat }))
    // In one piece: a frame holds one stroke after the other.
    if (strokes.length) client.send(Buffer.concat(strokes))
  })

  const ticks = setInterval(() => {
    prices.forEach((price, at) => {
      prices[at] = Math.max(1, price * (1 + (Math.random() - 0.5) * 0.004))
    })
    const data = JSON.stringify({ kind: 'tick', prices: prices.map(price => Number(price.toFixed(3))) })
    for (const client of server.clients) deliver(client, data)
  }, tickEvery)

  return {
    servers: { '/live': server },
    stop() {
      clearInterval(ticks)
    },
  }
}
