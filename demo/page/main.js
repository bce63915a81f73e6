// The page: one socket for the notifications, whose internals are shown, and other sockets for the rest.
import { backoff, createSocket } from '/dist/index.min.js'
import { createCrash } from './crash.js'
import { address, page, write } from './dom.js'
import { createFaults } from './faults.js'
import { createFeed, showPictures } from './feed.js'
import { foldCards } from './fold.js'
import { createLive } from './live.js'
import { drawMachine } from './machine.js'
import { showNodes } from './nodes.js'
import { createOrders } from './orders.js'
import { createOutbox } from './outbox.js'
import { createReplacement } from './replacement.js'
import { showStatus } from './status.js'
import { createStreams } from './streams.js'
import { compareConnections, createSharedConnection } from './tabs.js'
import { createTimeline } from './timeline.js'

const pick = list => list[Math.floor(Math.random() * list.length)]
const sender = `${pick(['Calm', 'Brave', 'Swift', 'Kind', 'Bright', 'Quiet'])}${pick(['Otter', 'Heron', 'Whale', 'Seal', 'Tern', 'Crab'])}${Math.floor(Math.random() * 90 + 10)}`

let timeline
const socket = createSocket(address('/feed'), {
  // With the default, a reconnection after a restart takes up to 5 s, to spread many clients. This page is only one.
  retry: backoff({ spread: 1_500 }),
  // If somebody presses one button after another, each loss should count as the first, not as one more consecutive failure.
  minUptime: 1_000,
  // Far more often than on a real page, so that there is something to see.
  heartbeat: {
    interval: 1_000,
    timeout: 2_000,
    message: 'ping',
    isReply(data) {
      if (data === 'pong') timeline.beat()
      return data === 'pong'
    },
  },
})
timeline = createTimeline(socket)

write(page.sender, sender)
// Makes areas scrollable by keyboard, also in browsers that do not do this themselves.
for (const one of document.querySelectorAll('.scroll')) one.tabIndex = 0
foldCards()
showStatus(socket)
drawMachine(socket)

const outbox = createOutbox(socket, sender)
const shared = createSharedConnection()
const feed = createFeed({
  sender,
  claim: shared.claim,
  isOwn: outbox.note,
  acknowledge: (id, from) => socket.send(JSON.stringify({ type: 'seen', id, from })),
})
const showPicture = showPictures(feed)

const streams = createStreams()
const live = createLive(bytes => {
  const fate = socket.send(bytes)
  write(page.answer, `A picture of ${bytes.byteLength} bytes was ${fate}.`)
})
compareConnections(live, shared)
const faults = createFaults(socket, streams, text => nodes.answer(text))
const nodes = showNodes(socket, faults.tell)
createOrders()
createCrash()
const sockets = [socket, live, createReplacement(), ...streams.sockets]
window.demo = { socket, sockets, shared }

socket.on('text', text => {
  const message = JSON.parse(text)
  if (message.kind === 'notification') feed.show(message)
  else if (message.kind === 'seen') feed.see(message)
  else if (message.kind === 'echo') faults.echo(message.n)
  else if (message.kind === 'nodes') nodes.show(message)
  else if (message.kind === 'error') write(page.answer, `The server answered: ${message.message}`)
  else if (message.kind === 'visitors') {
    // On a new connection, this message follows the history.
    write(page.visitors, message.count)
    feed.live()
  }
})
socket.on('binary', showPicture)
socket.on('state', outbox.show)

page.reconnect.onclick = () => {
  for (const one of sockets) one.reconnect()
}
page.close.onclick = () => {
  for (const one of sockets) one.close(1000)
}
page.connect.onclick = () => {
  for (const one of sockets) one.connect()
}
page['send-five'].onclick = () => {
  for (let n = 1; n <= 5; n++) outbox.send(`${n} of 5, sent while ${socket.state.name}`, 'message')
}
page['push-bad'].onclick = () => socket.send('{ "type": "nonsense" }')
page['push-big'].onclick = () => socket.send(new Uint8Array(300 * 1024))
page.form.onsubmit = event => {
  event.preventDefault()
  outbox.send(page.text.value.trim() || 'Hello', page.category.value)
  page.text.value = ''
}
