// A worker that sends numbers through an outbox until it is terminated. As in a crash, none of its own code runs at that moment.
import { indexedDbOutbox } from '/dist/outbox.min.js'
import { createReliableSocket } from '/dist/reliable.min.js'

const period = 10
const perPeriod = 5

const start = async () => {
  const id = new URL(location.href).searchParams.get('id')
  const url = new URL(`/reliable?id=${id}`, location.href)
  url.protocol = url.protocol.replace('http', 'ws')

  const outbox = indexedDbOutbox('crash', { user: id })
  const left = (await outbox.pending()).map(({ data }) => data)
  const socket = createReliableSocket(url, { outbox, retry: () => 200 })
  let next = 0
  let timer

  const send = () => {
    for (let i = 0; i < perPeriod; i++) void socket.send(next++)
  }
  socket.on('message', async ({ data: { up } }) => {
    postMessage({ kind: 'up', up })
    if (next) return
    // A number that was not stored before the crash was not accepted, and is used again.
    next = Math.max(up.last, ...left) + 1
    timer = setInterval(send, period)
    postMessage({ kind: 'started', left: left.length })
  })
  // The last worker is not terminated: it stops sending, and waits until the server has acknowledged everything.
  addEventListener('message', async () => {
    clearInterval(timer)
    while ((await outbox.pending()).length) await new Promise(resolve => setTimeout(resolve, 50))
    postMessage({ kind: 'done', accepted: next - 1 })
  })
}

start()
