// A numbered stream with default options and without a heartbeat, whose connections can be replaced.
import { backoff, createSocket } from '/dist/index.min.js'
import { address } from './dom.js'
import { createTally } from './tally.js'

const period = 50
const remembered = 500

/**
 * Twenty messages per second in each direction. `delay`: how long the line takes for each byte, in milliseconds each way. `isAsleep()`:
 * whether the page sends nothing at present.
 */
export const createNumberedStream = (id, delay, WebSocket, isAsleep) => {
  const down = createTally()
  let messages = []
  let up = { lost: 0 }
  let sent = 0
  let queued = 0
  let lastAt = performance.now()
  let silentSince = lastAt
  let silence = 0

  const socket = createSocket(address(`/plain?id=${id}&delay=${delay}`), {
    WebSocket,
    retry: backoff({ spread: 1_500 }),
    minUptime: 1_000,
    // While both connections are open, the server sends each message on both.
    handover: { id: text => JSON.parse(text).n },
  })

  socket.on('text', text => {
    const { n, up: counts } = JSON.parse(text)
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
  })

  setInterval(() => {
    if (document.hidden || isAsleep() || socket.state.name === 'closed') return
    if (socket.send(String(++sent)) === 'queued') queued++
  }, period)

  return {
    socket,
    /** The latest messages from the server: when each one arrived, or would have arrived. */
    get messages() {
      return messages
    },
    /** How many messages were lost in each direction, and how many had to wait in the queue. */
    get counts() {
      return { down: down.counts.lost, up: up.lost, queued }
    },
    /** The longest time without a message since the last `measure()`. */
    get silence() {
      return Math.max(silence, performance.now() - silentSince)
    },
    /** Measures the silence anew: since the last message, or `fromNow`. */
    measure(fromNow) {
      silence = 0
      if (fromNow) silentSince = performance.now()
    },
  }
}
