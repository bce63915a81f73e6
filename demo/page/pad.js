// A shared drawing pad: twelve bytes for a stroke, eight for a cursor, sent as volatile messages.
import { colour, page, write } from './dom.js'

const [cursor, stroke, clear] = [1, 2, 3]
const length = { [cursor]: 8, [stroke]: 12, [clear]: 4 }
const full = 65_535
const cursorFor = 2_000
const mine = Math.floor(Math.random() * 256)

/** How far an arrow key moves the pen, in parts of the pad. */
const stride = 0.02
const arrows = {
  ArrowLeft: [-stride, 0],
  ArrowRight: [stride, 0],
  ArrowUp: [0, -stride],
  ArrowDown: [0, stride],
}

const hue = byte => `hsl(${Math.round((byte / 256) * 360)} 75% 48%)`

export const showPad = (socket, pushPicture) => {
  const canvas = page.pad
  const context = canvas.getContext('2d')
  const paper = document.createElement('canvas')
  paper.width = canvas.width
  paper.height = canvas.height
  const ink = paper.getContext('2d')
  const cursors = new Map()
  const counts = { sent: 0, dropped: 0, others: 0 }

  const count = what => {
    counts[what]++
    write(page[`strokes-${what}`], counts[what])
  }

  const paint = () => {
    context.fillStyle = colour('sunken')
    context.fillRect(0, 0, canvas.width, canvas.height)
    context.drawImage(paper, 0, 0)
    for (const [who, { x, y, shade, at }] of cursors) {
      if (Date.now() - at > cursorFor) cursors.delete(who)
      context.fillStyle = hue(shade)
      context.beginPath()
      context.arc(x * canvas.width, y * canvas.height, 9, 0, 7)
      context.fill()
    }
  }
  let asked = false
  const repaint = () => {
    if (asked) return
    asked = true
    requestAnimationFrame(() => {
      asked = false
      paint()
    })
  }
  // Cursors fade, and the colour scheme may change.
  setInterval(repaint, 1_000)
  repaint()

  const line = (shade, [x, y], [toX, toY], isLost) => {
    ink.strokeStyle = hue(shade)
    ink.lineWidth = isLost ? 2 : 5
    ink.lineCap = 'round'
    ink.setLineDash(isLost ? [2, 7] : [])
    ink.beginPath()
    ink.moveTo(x * paper.width, y * paper.height)
    ink.lineTo(toX * paper.width, toY * paper.height)
    ink.stroke()
    page['pad-hint'].hidden = true
    repaint()
  }

  const wipe = () => {
    ink.clearRect(0, 0, paper.width, paper.height)
    page['pad-hint'].hidden = false
    repaint()
  }

  const send = (kind, ...points) => {
    const frame = new DataView(new ArrayBuffer(length[kind]))
    frame.setUint8(0, kind)
    frame.setUint8(1, mine)
    points.forEach((value, at) => {
      frame.setUint16(4 + 2 * at, Math.round(Math.min(1, Math.max(0, value)) * full))
    })
    return socket.send(frame.buffer, { volatile: true }) === 'sent'
  }

  const drawStroke = (from, to) => {
    const isSent = send(stroke, ...from, ...to)
    line(mine, from, to, !isSent)
    count(isSent ? 'sent' : 'dropped')
  }

  const where = ({ clientX, clientY }) => {
    const { left, top, width, height } = canvas.getBoundingClientRect()
    return [(clientX - left) / width, (clientY - top) / height]
  }

  let pen
  canvas.onpointerdown = event => {
    canvas.setPointerCapture(event.pointerId)
    pen = where(event)
  }
  canvas.onpointermove = event => {
    const next = where(event)
    if (pen) {
      drawStroke(pen, next)
      pen = next
    } else send(cursor, ...next)
  }
  canvas.onpointerup = () => {
    pen = undefined
  }
  canvas.onpointercancel = canvas.onpointerup

  page.desk.tabIndex = 0
  const keys = { at: [0.5, 0.5], isDown: false }
  const point = () => {
    send(cursor, ...keys.at)
    cursors.set('keys', { x: keys.at[0], y: keys.at[1], shade: mine, at: Date.now() })
    repaint()
  }
  page.desk.onfocus = () => {
    if (page.desk.matches(':focus-visible')) point()
  }
  page.desk.onkeydown = event => {
    const { key } = event
    const arrow = arrows[key]
    if (key === ' ') {
      keys.isDown = !keys.isDown
      page.desk.setAttribute('aria-label', `Shared drawing pad, pen ${keys.isDown ? 'down' : 'up'}`)
    } else if (arrow) {
      const next = keys.at.map((value, axis) => Math.min(1, Math.max(0, value + arrow[axis])))
      if (keys.isDown) drawStroke(keys.at, next)
      keys.at = next
    } else return
    event.preventDefault() // or the page scrolls
    point()
  }

  page.squiggle.onclick = () => {
    const [turns, size, x, y] = [
      1 + Math.random() * 3,
      0.1 + Math.random() * 0.15,
      0.25 + Math.random() * 0.5,
      0.35 + Math.random() * 0.3,
    ]
    const at = t => [
      x + size * Math.cos(t * 6.28) + (t - 0.5) * 0.3,
      y + size * 1.5 * Math.sin(t * 6.28 * turns),
    ]
    const begun = performance.now()
    let step = 0
    const timer = setInterval(() => {
      // Follows the clock, because the timers of a hidden page are throttled.
      for (; step < 60 && performance.now() - begun > step * 16; step++) {
        drawStroke(at(step / 60), at((step + 1) / 60))
      }
      if (step === 60) clearInterval(timer)
    }, 16)
  }
  page.clear.onclick = () => {
    send(clear)
    wipe()
  }
  page['push-picture'].onclick = () => {
    paint()
    const small = document.createElement('canvas')
    small.width = 480
    small.height = 252
    small.getContext('2d').drawImage(canvas, 0, 0, small.width, small.height)
    small.toBlob(async blob => pushPicture(await blob.arrayBuffer()))
  }

  return {
    /** Receives one frame, or, after connecting, all earlier strokes, one after the other. */
    hear(buffer) {
      const kind = new DataView(buffer).getUint8(0)
      for (let at = 0; at + length[kind] <= buffer.byteLength; at += length[kind]) {
        const frame = new DataView(buffer, at, length[kind])
        const place = offset => [frame.getUint16(offset) / full, frame.getUint16(offset + 2) / full]
        const [shade, who] = [frame.getUint8(1), frame.getUint16(2)]
        if (kind === clear) wipe()
        else if (kind === stroke) {
          line(shade, place(4), place(8), false)
          count('others')
        }
        if (kind === clear) continue
        const [x, y] = place(kind === stroke ? 8 : 4)
        cursors.set(who, { x, y, shade, at: Date.now() })
      }
      repaint()
    },
  }
}
