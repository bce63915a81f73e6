// Draws the last two minutes of a connection: states, heartbeats, messages in and out, and queued messages.
import { colour, page, sharpen, write } from './dom.js'

const span = 120_000
const colours = { open: 'good', waiting: 'busy', connecting: 'accent', closing: 'busy', closed: 'bad' }

export const createTimeline = socket => {
  const states = [{ at: Date.now(), name: socket.state.name }]
  let marks = []
  let depths = []
  let latencies = []

  const mark = kind => marks.push({ at: Date.now(), kind })

  socket.on('state', ({ name }) => states.push({ at: Date.now(), name }))
  socket.on('text', () => mark('in'))
  socket.on('binary', () => mark('in'))
  socket.on('drop', () => mark('drop'))

  let sent = 0
  let reclaimed = 0
  const look = () => {
    const { stats } = socket
    if (stats.sent > sent) mark('out')
    if (stats.reclaimed > reclaimed) mark('drop')
    sent = stats.sent
    reclaimed = stats.reclaimed
    depths.push({ at: Date.now(), queued: stats.queued })
    const from = Date.now() - span
    marks = marks.filter(({ at }) => at > from)
    depths = depths.filter(({ at }) => at > from)
    while (states.length > 1 && states[1].at < from) states.shift()
  }

  const paint = () => {
    if (document.hidden || !page.timeline.clientWidth) return
    const { context, width, height } = sharpen(page.timeline)
    const now = Date.now()
    const x = at => width * (1 - (now - at) / span)

    context.font = '11px system-ui, sans-serif'
    context.textAlign = 'center'
    for (let ago = 30; ago < 120; ago += 30) {
      const where = x(now - ago * 1000)
      context.fillStyle = colour('line')
      context.fillRect(where, 0, 1, height - 16)
      context.fillStyle = colour('quiet')
      context.fillText(`${ago} s ago`, where, height - 3)
    }
    context.textAlign = 'right'
    context.fillText('now', width - 2, height - 3)

    states.forEach(({ at, name }, n) => {
      const from = Math.max(0, x(at))
      context.fillStyle = colour(colours[name])
      // A state that was over in no time is still worth a pixel.
      context.fillRect(from, 4, Math.max(1.5, x(states[n + 1]?.at ?? now) - from), 16)
    })

    const deepest = Math.max(5, ...depths.map(({ queued }) => queued))
    context.fillStyle = colour('busy')
    for (const { at, queued } of depths) {
      const tall = (queued / deepest) * 24
      if (queued) context.fillRect(x(at), 80 - tall, Math.max(1.5, (width * 260) / span), tall)
    }

    const rows = {
      in: [28, 'accent', 12],
      out: [44, 'unsure', 12],
      beat: [88, 'good', 6],
      drop: [58, 'bad', 22],
    }
    for (const { at, kind } of marks) {
      const [y, name, tall] = rows[kind]
      context.fillStyle = colour(name)
      context.fillRect(x(at), y, kind === 'drop' ? 3 : 1.5, tall)
    }
  }

  const paintLatency = () => {
    if (document.hidden || !page.sparkline.clientWidth) return
    const { context, width, height } = sharpen(page.sparkline)
    if (latencies.length < 2) return
    const most = Math.max(20, ...latencies)
    context.strokeStyle = colour('accent')
    context.lineWidth = 1.5
    context.lineJoin = 'round'
    context.beginPath()
    latencies.forEach((latency, n) => {
      context.lineTo((n / 59) * width, height - 3 - (latency / most) * (height - 6))
    })
    context.stroke()
  }

  setInterval(() => {
    look()
    paint()
  }, 250)

  return {
    /** A heartbeat was answered. */
    beat() {
      mark('beat')
      // The socket has measured it once this message is done with.
      setTimeout(() => {
        if (!Number.isFinite(socket.latency)) return
        latencies = [...latencies, socket.latency].slice(-60)
        write(
          page.latency,
          `${socket.latency < 10 ? socket.latency.toFixed(1) : Math.round(socket.latency)} ms`,
        )
        paintLatency()
      })
    },
  }
}
