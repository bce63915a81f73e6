// Numbered streams whose connections can be replaced: one over a socket of the package, without a heartbeat, and one over a plain WebSocket.
import { backoff, createSocket } from '/dist/index.min.js'
import { address } from './dom.js'
import { createTally } from './tally.js'

const period = 50
const remembered = 500
/** How long the plain stream waits before it connects again. In milliseconds. */
const plainDelay = 1_000

/** Counts the messages that arrive, and infers which ones are missing. */
const createCounts = () => {
  const down = createTally()
  let messages = []
  let up = { lost: 0, last: 0 }
  let sent = 0
  let lastAt = performance.now()
  let silentSince = lastAt
  let silence = 0

  return {
    hear({ n, up: counts }) {
      const now = performance.now()
      const missing = down.counts.arrived ? Math.max(0, n - down.counts.last - 1) : 0
      down.note(n)
      // They are shown at equal distances, as the server has sent them.
      const step = (now - lastAt) / (missing + 1)
      for (let part = 1; part <= missing; part++) messages.push({ at: lastAt + part * step, isLost: true })
      messages.push({ at: now, isLost: false })
      messages = messages.slice(-remembered)
      silence = Math.max(silence, now - silentSince)
      lastAt = silentSince = now
      up = counts
    },
    /** The latest messages from the server: when each one arrived, or would have arrived. */
    get messages() {
      return messages
    },
    /** How many messages were lost in each direction. */
    get lost() {
      return { down: down.counts.lost, up: up.lost }
    },
    /** The number of the next message to the server. */
    next: () => ++sent,
    /** Whether the server has received the last message. */
    get hasArrived() {
      return up.last >= sent
    },
    /** The longest time without a message since the last `measure()`. */
    get silence() {
      return Math.max(silence, performance.now() - silentSince)
    },
    /** Restarts the measurement of the silence: from the last message, or `fromNow`. */
    measure(fromNow) {
      silence = 0
      if (fromNow) silentSince = performance.now()
    },
  }
}

/**
 * Twenty messages per second in each direction. `delay`: the latency of the connection, in milliseconds each way. `isAsleep()`: whether the page
 * sends nothing at the moment.
 */
export const createNumberedStream = (id, delay, WebSocket, isAsleep) => {
  const counts = createCounts()
  let queued = 0

  const socket = createSocket(address(`/plain?id=${id}&delay=${delay}`), {
    WebSocket,
    retry: backoff({ spread: 1_500 }),
    minUptime: 1_000,
    handover: {
      // While both connections are open, the server sends each message on both.
      id: text => JSON.parse(text).n,
      // The server announces that it will shut down.
      when: text => JSON.parse(text).kind === 'deploy',
    },
  })
  socket.on('text', text => {
    const message = JSON.parse(text)
    if (message.n) counts.hear(message)
  })

  setInterval(() => {
    if (document.hidden || isAsleep() || socket.state.name === 'closed') return
    if (socket.send(String(counts.next())) === 'queued') queued++
  }, period)

  return {
    socket,
    counts,
    /** How many messages had to wait in the queue. */
    get queued() {
      return queued
    },
  }
}

/** The same over a WebSocket as most pages use it: after a close event, it waits for a second, and connects again. `onOpen`: messages arrive. */
export const createPlainStream = (id, delay, isAsleep, onOpen) => {
  const counts = createCounts()
  let socket
  let timer
  let heardAt = 0

  const connect = () => {
    clearTimeout(timer)
    const current = new WebSocket(address(`/plain?id=${id}&delay=${delay}`))
    socket = current
    heardAt = 0
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data)
      if (current !== socket || !message.n) return
      const isFirst = !heardAt
      heardAt = performance.now()
      counts.hear(message)
      if (isFirst) onOpen()
    }
    socket.onclose = () => {
      if (current === socket) timer = setTimeout(connect, plainDelay)
    }
  }
  connect()

  setInterval(() => {
    if (document.hidden || isAsleep()) return
    const n = counts.next()
    if (socket.readyState === WebSocket.OPEN) socket.send(String(n))
  }, period)

  return {
    counts,
    /** When the last message of the current connection arrived; 0 before the first. */
    get heardAt() {
      return heardAt
    },
    /** Closes the connection, and opens another. */
    replace() {
      const old = socket
      connect()
      old.close()
    },
  }
}
