// Draws the last minutes of a connection, one row each: states, messages in and out, queued messages, heartbeats.
import { colour, page, sharpen, write } from './dom.js'

const longest = 120_000
const shortest = 20_000
const colours = { open: 'good', waiting: 'busy', connecting: 'accent', closing: 'busy', closed: 'bad' }

/** The top and the height of each row, in pixels. */
const rows = {
  state: [4, 14],
  in: [25, 12],
  out: [43, 12],
  queued: [61, 18],
  beat: [85, 10],
}
const names = { state: 'state', in: 'received', out: 'sent', queued: 'queued', beat: 'heartbeat' }
const tints = { in: 'accent', out: 'unsure', beat: 'good', drop: 'bad' }
/** The width of the labels. */
const gutter = 68
const bottom = 100

/** The width that a time needs below its line, in pixels. */
const timeWidth = 60
/** The interval between two lines with a time, in seconds: the shortest for which there is room. */
const stepOf = (span, width) => [5, 10, 15, 30].find(step => (step * 1000 * width) / span >= timeWidth) ?? 60

/** The events of the time that is shown. */
const collect = socket => {
  const seen = { states: [{ at: Date.now(), name: socket.state.name }], marks: [], depths: [] }
  let { sent, reclaimed } = socket.stats

  const mark = kind => seen.marks.push({ at: Date.now(), kind })
  socket.on('state', ({ name }) => seen.states.push({ at: Date.now(), name }))
  socket.on('text', () => mark('in'))
  socket.on('binary', () => mark('in'))
  socket.on('drop', () => mark('drop'))

  const look = () => {
    const { stats } = socket
    if (stats.sent > sent) mark('out')
    if (stats.reclaimed > reclaimed) mark('drop')
    sent = stats.sent
    reclaimed = stats.reclaimed
    seen.depths.push({ at: Date.now(), queued: stats.queued })
    const from = Date.now() - longest
    seen.marks = seen.marks.filter(({ at }) => at > from)
    seen.depths = seen.depths.filter(({ at }) => at > from)
    while (seen.states.length > 1 && seen.states[1].at < from) seen.states.shift()
  }
  return { seen, mark, look }
}

export const createTimeline = socket => {
  const begun = Date.now()
  const { seen, mark, look } = collect(socket)
  let latencies = []

  const paintScale = (context, width, span, x) => {
    context.font = '11px system-ui, sans-serif'
    context.textAlign = 'left'
    context.fillStyle = colour('quiet')
    for (const [row, [top, tall]] of Object.entries(rows)) context.fillText(names[row], 0, top + tall / 2 + 4)
    context.textAlign = 'center'
    const step = stepOf(span, width - gutter)
    for (let ago = step; ago * 1000 < span * 0.97; ago += step) {
      const where = x(Date.now() - ago * 1000)
      context.fillStyle = colour('line')
      context.fillRect(where, 0, 1, bottom)
      context.fillStyle = colour('quiet')
      if (where < width - 50) context.fillText(`${ago} s ago`, where, bottom + 13)
    }
    context.textAlign = 'right'
    context.fillText('now', width - 2, bottom + 13)
  }

  const paint = () => {
    if (document.hidden || !page.timeline.clientWidth) return
    const { context, width } = sharpen(page.timeline)
    const now = Date.now()
    // The time span that is shown grows with the time since the start.
    const span = Math.min(longest, Math.max(shortest, now - begun))
    const x = at => Math.max(gutter, width - ((now - at) / span) * (width - gutter))
    const isShown = ({ at }) => at > now - span
    paintScale(context, width, span, x)

    seen.states.forEach(({ at, name }, n) => {
      const until = seen.states[n + 1]?.at ?? now
      if (until < now - span) return
      const [top, tall] = rows.state
      context.fillStyle = colour(colours[name])
      // Even a very short state is drawn at least 1.5 pixels wide.
      context.fillRect(x(at), top, Math.max(1.5, x(until) - x(at)), tall)
    })

    const deepest = Math.max(5, ...seen.depths.map(({ queued }) => queued))
    context.fillStyle = colour('busy')
    for (const { at, queued } of seen.depths.filter(isShown)) {
      const tall = (queued / deepest) * rows.queued[1]
      const wide = Math.max(1.5, ((width - gutter) * 260) / span)
      if (queued) context.fillRect(x(at), rows.queued[0] + rows.queued[1] - tall, wide, tall)
    }

    for (const { at, kind } of seen.marks.filter(isShown)) {
      const [top, tall] = rows[kind] ?? rows.queued
      context.fillStyle = colour(tints[kind])
      context.fillRect(x(at), top, kind === 'drop' ? 3 : 1.5, tall)
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
      context.lineTo((n / (latencies.length - 1)) * width, height - 3 - (latency / most) * (height - 6))
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
      // The socket has updated its latency only after it has processed this message.
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
