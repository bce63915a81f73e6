// What both pages do. They differ only in how they come by `createSocket`.
import { showFeed, showPictures } from './feed.js'
import { lay, make, prepend, seconds, time, write } from './layout.js'
import { createOutbox, showOutbox } from './outbox.js'
import { explain, showStatus } from './status.js'

const shownEvents = 100

export const start = createSocket => {
  // Relative and http(s) addresses are newer than some browsers that are otherwise good enough.
  const endpoint = new URL('/feed', location.href)
  endpoint.protocol = endpoint.protocol.replace('http', 'ws')

  const socket = createSocket(endpoint, {
    // Asks only when nothing has come for so long. This server speaks every two to three seconds; with a longer
    // interval there would never be a silence to ask in, and so no latency to show.
    heartbeat: { interval: 1500, timeout: 3000, message: 'ping', isReply: data => data === 'pong' },
  })
  window.demo = { socket }

  const page = lay()
  const sender = Math.random().toString(36).slice(2, 7)
  write(page.sender, sender)

  const outbox = createOutbox(socket, sender)
  const showMine = showOutbox(page, outbox, socket)
  const showNotification = showFeed(page, outbox.note)
  const showPicture = showPictures(page)
  const tick = showStatus(page, socket)

  const log = (type, text) =>
    prepend(page.log, make('li', type, time(Date.now()), make('b', '', type), text), shownEvents)

  socket.on('text', text => {
    const message = JSON.parse(text)
    if (message.kind === 'error') log('server', message.message)
    else showNotification(message)
  })
  socket.on('binary', bytes => {
    if (!showPicture(bytes)) log('binary', `${bytes.byteLength} bytes that are not a picture`)
  })

  socket.on('state', ({ name, cause, delay }) => {
    const why = cause ? ` after ${cause.code}` : ''
    log('state', name === 'waiting' ? `waiting${why}, next attempt: ${seconds(delay)}` : `${name}${why}`)
  })
  socket.on('open', ({ reconnected, attempt }) => {
    log('open', `${reconnected ? 'again' : 'for the first time'}, failures before: ${attempt}`)
  })
  socket.on('close', ({ code, reason, willRetry, delay }) => {
    const future = willRetry ? `next attempt: ${seconds(delay)}` : 'for good'
    log('close', `${code}${reason && ` “${reason}”`}, ${future}`)
  })
  socket.on('error', error => log('error', explain(error)))
  socket.on('drop', ({ reason }) => log('drop', `a message was dropped: ${reason}`))

  const control = async path => {
    try {
      const answer = await fetch(path, { method: 'POST' })
      write(page['control-answer'], await answer.text())
    } catch {
      write(page['control-answer'], 'The server does not answer.')
    }
  }

  const send = text => {
    outbox.send(text)
    showMine()
  }

  page.cut.onclick = () => control('/control/cut')
  page.refuse.onclick = () => control('/control/refuse?seconds=5')
  page.reconnect.onclick = () => socket.reconnect()
  page.close.onclick = () => socket.close(1000, 'closed on the page')
  page.connect.onclick = () => socket.connect()
  page['send-five'].onclick = () => {
    for (let n = 1; n <= 5; n++) send(`${n} of 5, sent while ${socket.state.name}`)
  }
  page.form.onsubmit = event => {
    event.preventDefault()
    send(page.text.value.trim() || 'Hello')
    page.text.value = ''
  }

  setInterval(() => {
    tick()
    showMine()
  }, 200)
}
