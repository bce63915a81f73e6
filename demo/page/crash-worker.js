// A worker that sends numbers until it is terminated: through an outbox, and over a plain WebSocket with a queue in memory. As in a crash,
// none of its own code runs at that moment.
import { indexedDbOutbox } from '/dist/outbox.min.js'
import { createReliableSocket } from '/dist/reliable.min.js'

const period = 10
const perPeriod = 5

const parameters = new URL(location.href).searchParams
const id = parameters.get('id')
const address = path => {
  const url = new URL(`${path}?id=${id}`, location.href)
  url.protocol = url.protocol.replace('http', 'ws')
  return url
}

/** Messages are queued while there is no connection, as many pages do. `report(up)` is called with the counts of the server. */
const createPlain = report => {
  const queue = []
  let socket
  const flush = () => {
    while (queue.length && socket.readyState === WebSocket.OPEN) socket.send(queue.shift())
  }
  const connect = () => {
    socket = new WebSocket(address('/plain'))
    socket.onopen = flush
    socket.onmessage = ({ data }) => report(JSON.parse(data).up)
    socket.onclose = () => setTimeout(connect, 200)
  }
  connect()
  return n => {
    queue.push(String(n))
    flush()
  }
}

const start = async () => {
  // Messages on this channel arrive even if the worker is terminated immediately afterwards.
  const channel = new BroadcastChannel(id)
  const outbox = indexedDbOutbox('crash', { user: id })
  const left = (await outbox.pending()).map(({ data }) => data)
  const socket = createReliableSocket(address('/reliable'), { outbox, retry: () => 200 })
  const counts = {}
  let next
  let nextPlain
  let timer

  const send = () => {
    for (let i = 0; i < perPeriod; i++) {
      void socket.send(next++)
      sendPlain(nextPlain++)
    }
    channel.postMessage(nextPlain)
  }
  const report = (name, up) => {
    counts[name] = up
    postMessage({ kind: 'counts', counts })
    if (timer || !counts.plain || !counts.outbox) return
    // A number that was not stored before the crash was not accepted, and is used again.
    next = Math.max(counts.outbox.last, ...left) + 1
    nextPlain = Math.max(counts.plain.last + 1, Number(parameters.get('plain')))
    timer = setInterval(send, period)
    postMessage({ kind: 'started', left: left.length })
  }
  const sendPlain = createPlain(up => report('plain', up))
  socket.on('message', ({ data: { up } }) => report('outbox', up))

  // The last worker is not terminated: it stops sending, and waits until the server has acknowledged everything.
  addEventListener('message', async () => {
    clearInterval(timer)
    while ((await outbox.pending()).length) await new Promise(resolve => setTimeout(resolve, 50))
    postMessage({ kind: 'done', accepted: { outbox: next - 1, plain: nextPlain - 1 } })
  })
}

start()
