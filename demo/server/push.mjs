// The push service at /feed: its own notifications, the messages that it broadcasts, and the validation of input.
import { randomUUID } from 'node:crypto'
import { WebSocketServer } from 'ws'
import { logs } from './log.mjs'
import { createPainter, isPicture } from './picture.mjs'
import { createPresence } from './presence.mjs'

const ping = Buffer.from('ping')
/** The categories that visitors may choose for their messages. */
const categories = ['message', 'party', 'alert']
const maxVisible = 500
const maxText = 16 * 1024
const maxBinary = 256 * 1024
// `ws` closes with 1009 above this size, before it has read the message. Below it, the client gets an error message.
const maxPayload = 1024 * 1024
// A client that reads too slowly is disconnected, because its buffer would use the memory of the server. It can reconnect.
const maxBacklog = 4 * 1024 * 1024

const pick = list => list[Math.floor(Math.random() * list.length)]
const between = (low, high) => low + Math.floor(Math.random() * (high - low + 1))
const person = () => pick(['Ada', 'Grace', 'Linus', 'Margaret', 'Edsger', 'Barbara', 'Donald', 'Radia'])
const place = () => pick(['Lisbon', 'Oslo', 'Nairobi', 'Osaka', 'Lima', 'Toronto', 'Hobart'])

const templates = [
  () => ['deploy', `Version 2.${between(10, 40)} is live`, `${person()} deployed it to ${place()}.`],
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

const parse = data => {
  if (data.length > maxText) {
    throw new Refusal(`A text message must have at most ${maxText} bytes. This one has ${data.length}.`)
  }
  try {
    return JSON.parse(data.toString()) ?? {}
  } catch {
    throw new Refusal("The message is not JSON. Send {type: 'push', n, text}.")
  }
}

/** Validates `{ type: 'push', n, text, from, category }`. Throws a `Refusal` with the reason. */
const readPush = ({ n, text, from = 'somebody', category = 'message' }) => {
  if (!Number.isSafeInteger(n) || n < 1) throw new Refusal('n must be a positive whole number.')
  if (typeof text !== 'string' || !text.trim())
    throw new Refusal('text must be a string with visible characters.')
  if (text.length > maxVisible) {
    throw new Refusal(`text must have at most ${maxVisible} characters. This one has ${text.length}.`)
  }
  if (typeof from !== 'string' || !/^\w{1,20}$/.test(from)) {
    throw new Refusal('from must be 1 to 20 letters, digits or underscores.')
  }
  if (!categories.includes(category)) throw new Refusal(`category must be one of ${categories.join(', ')}.`)
  return notify(category, from, text, { n, from })
}

/** Starts the push service. `name`: the name of this node; `canBeKilled`: whether another process restarts it. */
export const createPush = (world, { name, canBeKilled = false }) => {
  const server = new WebSocketServer({ noServer: true, maxPayload })
  const { notifications, seen, pictures } = world
  const paint = createPainter()
  /** Who has seen which notification of the history. */
  const seenBy = new Map()

  const deliver = (client, data) => {
    if (client.bufferedAmount > maxBacklog) client.terminate()
    else client.send(data)
  }

  const broadcast = data => {
    for (const client of server.clients) deliver(client, data)
  }

  const acknowledge = ({ id, from }) => {
    const those = seenBy.get(id)
    // Notifications that are older than the history are ignored.
    if (!those || typeof from !== 'string' || !/^\w{1,20}$/.test(from)) return
    if (those.size < maxVisible && !those.has(from)) seen.append({ id, from })
  }

  /** Sent last on a new connection: everything before it is history. */
  const census = () => [
    JSON.stringify({ kind: 'nodes', nodes: presence.nodes, here: name, canBeKilled }),
    JSON.stringify({ kind: 'visitors', count: presence.visitors }),
  ]
  const presence = createPresence(world, name, () => census().forEach(broadcast))
  const countVisitors = () => presence.count(server.clients.size)

  const onBinary = data => {
    if (data.length > maxBinary) {
      throw new Refusal(`A picture must have at most ${maxBinary} bytes. This one has ${data.length}.`)
    }
    if (!isPicture(data)) throw new Refusal('Binary messages are pictures: send PNG, JPEG or GIF.')
    pictures.append(data)
  }

  const onText = (client, data) => {
    if (data.equals(ping)) return client.send('pong')
    const message = parse(data)
    if (message.type === 'push') notifications.append(readPush(message))
    else if (message.type === 'seen') acknowledge(message)
    else if (message.type === 'echo') client.send(JSON.stringify({ kind: 'echo', n: Number(message.n) }))
    else throw new Refusal("Unknown type: expected 'push', 'seen' or 'echo'.")
  }

  server.on('connection', client => {
    client.isAlive = true
    client.on('pong', () => {
      client.isAlive = true
    })
    client.on('message', (data, isBinary) => {
      try {
        if (isBinary) onBinary(data)
        else onText(client, data)
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        client.send(JSON.stringify({ kind: 'error', message: error.message }))
      }
    })
    // `ws` has closed the connection after an invalid frame. Without a listener the error would end the process.
    client.on('error', () => {})
    client.on('close', countVisitors)

    for (const notification of notifications.entries) {
      const { size } = seenBy.get(notification.id)
      client.send(JSON.stringify(size ? { ...notification, seen: size } : notification))
    }
    for (const picture of pictures.entries) client.send(picture)
    countVisitors()
    for (const data of census()) client.send(data)
  })

  const listening = [
    notifications.subscribe(notification => {
      seenBy.set(notification.id, new Set())
      if (seenBy.size > logs.notifications) seenBy.delete(seenBy.keys().next().value)
      broadcast(JSON.stringify(notification))
    }),
    seen.subscribe(({ id, from }) => {
      const count = seenBy.get(id)?.add(from).size
      if (count) broadcast(JSON.stringify({ kind: 'seen', id, count }))
    }),
    pictures.subscribe(broadcast),
  ]

  const speak = () => notifications.append(notify(...pick(templates)()))
  // An initial history of a few minutes, with one notification of each kind.
  if (!notifications.entries.length) {
    templates.forEach((template, n) => {
      const at = Date.now() - (templates.length - n) * 47_000
      notifications.append(notify(...template(), { at }))
    })
  }
  if (!pictures.entries.length) pictures.append(paint())

  let nextNotification
  const pushNotification = () => {
    if (presence.leads) speak()
    nextNotification = setTimeout(pushNotification, between(3000, 6000))
  }
  nextNotification = setTimeout(pushNotification, between(1500, 2500))

  const painting = setInterval(() => presence.leads && pictures.append(paint()), 20_000)

  // Detects clients that have disconnected without a close frame. TCP would detect them much later.
  const sweep = setInterval(() => {
    for (const client of server.clients) {
      if (!client.isAlive) client.terminate()
      client.isAlive = false
      client.ping()
    }
  }, 30_000)

  return {
    servers: { '/feed': server },
    presence,
    stop() {
      clearTimeout(nextNotification)
      clearInterval(painting)
      clearInterval(sweep)
      for (const unsubscribe of listening) unsubscribe()
      presence.stop()
    },
  }
}
