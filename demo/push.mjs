// The push service behind /feed: what it says by itself, what it repeats for its clients, and what it refuses.
import { randomUUID } from 'node:crypto'
import { WebSocketServer } from 'ws'
import { createPainter, isPicture } from './picture.mjs'

const historyLength = 20
const ping = Buffer.from('ping')
const maxText = 16 * 1024
const maxBinary = 256 * 1024
// Above this `ws` closes with 1009 before the message has been read; below it the client gets an answer in words.
const maxPayload = 1024 * 1024
// A client that reads too slowly is let go: it would grow the memory of the server, and it can reconnect.
const maxBacklog = 4 * 1024 * 1024

const pick = list => list[Math.floor(Math.random() * list.length)]
const between = (low, high) => low + Math.floor(Math.random() * (high - low + 1))
const person = () => pick(['Ada', 'Grace', 'Linus', 'Margaret', 'Edsger', 'Barbara', 'Donald', 'Radia'])
const place = () => pick(['Lisbon', 'Oslo', 'Nairobi', 'Osaka', 'Lima', 'Toronto', 'Hobart'])

const templates = [
  () => ['deploy', `Version 2.${between(10, 40)} is live`, `${person()} deployed to ${place()}.`],
  () => [
    'payment',
    `Payment of ${between(5, 900)}.00 received`,
    `Invoice ${between(1000, 9999)} is settled.`,
  ],
  () => [
    'review',
    `${person()} asks for a review`,
    `${between(2, 12)} files changed in request #${between(100, 999)}.`,
  ],
  () => ['delivery', 'A parcel is on its way', `It left ${place()} and arrives in ${between(2, 5)} days.`],
  () => [
    'weather',
    `${between(-5, 33)} °C in ${place()}`,
    pick(['Clear sky.', 'Light rain.', 'Wind is rising.']),
  ],
  () => ['alert', `${place()} answers slowly`, `The slowest requests take ${between(300, 2500)} ms.`],
]

const notify = (category, title, body, more = {}) => ({
  kind: 'notification',
  id: randomUUID(),
  at: Date.now(),
  category,
  title,
  body,
  ...more,
})

class Refusal extends Error {}

/** Takes `{ type: 'push', n, text, from }` apart; whatever is wrong with it is said in words. */
const readPush = data => {
  if (data.length > maxText)
    throw new Refusal(`a text message may have ${maxText} bytes, this one has ${data.length}`)
  let message
  try {
    message = JSON.parse(data.toString())
  } catch {
    throw new Refusal("this is not JSON; expected {type: 'push', n, text}")
  }
  const { type, n, text, from = 'somebody' } = message ?? {}
  if (type !== 'push') throw new Refusal("unknown type; expected {type: 'push', n, text}")
  if (!Number.isSafeInteger(n) || n < 1) throw new Refusal('n must be a positive whole number')
  if (typeof text !== 'string' || !text.trim()) throw new Refusal('text must be a string that says something')
  if (typeof from !== 'string' || !/^\w{1,20}$/.test(from))
    throw new Refusal('from must be 1 to 20 letters or digits')
  return notify('message', `Message ${n} from ${from}`, text, { n, from })
}

/** Starts pushing. `accept` is for the `upgrade` event of an HTTP server, `cut` and `stop` end connections. */
export const createPush = () => {
  const server = new WebSocketServer({ noServer: true, maxPayload })
  const paint = createPainter()
  const history = []
  let lastPicture = paint()

  const deliver = (client, data) => {
    if (client.bufferedAmount > maxBacklog) client.terminate()
    else client.send(data)
  }

  const broadcast = data => {
    for (const client of server.clients) deliver(client, data)
  }

  const publish = notification => {
    history.push(notification)
    if (history.length > historyLength) history.shift()
    broadcast(JSON.stringify(notification))
  }

  const onBinary = (client, data) => {
    if (data.length > maxBinary) {
      throw new Refusal(`a binary message may have ${maxBinary} bytes, this one has ${data.length}`)
    }
    if (isPicture(data)) broadcast(data)
    else deliver(client, data)
  }

  const onMessage = (client, data, isBinary) => {
    try {
      if (isBinary) onBinary(client, data)
      else if (data.equals(ping)) client.send('pong')
      else publish(readPush(data))
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      client.send(JSON.stringify({ kind: 'error', message: error.message }))
    }
  }

  server.on('connection', client => {
    client.isAlive = true
    client.on('pong', () => {
      client.isAlive = true
    })
    client.on('message', (data, isBinary) => onMessage(client, data, isBinary))
    // What a broken frame does to its own connection `ws` has done already; unheard, it would end the process.
    client.on('error', () => {})

    for (const notification of history) client.send(JSON.stringify(notification))
    client.send(lastPicture)
  })

  for (let n = 0; n < 3; n++) publish(notify(...pick(templates)()))

  let nextNotification
  const pushNotification = () => {
    publish(notify(...pick(templates)()))
    nextNotification = setTimeout(pushNotification, between(2000, 3000))
  }
  nextNotification = setTimeout(pushNotification, between(2000, 3000))

  const pictures = setInterval(() => {
    lastPicture = paint()
    broadcast(lastPicture)
  }, 10_000)

  // Clients that vanished without a word would be kept, and written to, until TCP notices.
  const sweep = setInterval(() => {
    for (const client of server.clients) {
      if (!client.isAlive) client.terminate()
      client.isAlive = false
      client.ping()
    }
  }, 30_000)

  const cut = () => {
    const { size } = server.clients
    for (const client of server.clients) client.terminate()
    return size
  }

  return {
    accept: (request, socket, head) =>
      server.handleUpgrade(request, socket, head, client => server.emit('connection', client)),
    cut,
    stop() {
      clearTimeout(nextNotification)
      clearInterval(pictures)
      clearInterval(sweep)
      cut()
      server.close()
    },
  }
}
