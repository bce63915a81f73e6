// A drawing of the state machine: the five states, the transitions, and the current state highlighted.
import { draw, page } from './dom.js'

const places = {
  closed: [70, 135],
  connecting: [230, 45],
  open: [410, 45],
  waiting: [320, 145],
  closing: [560, 95],
}
const [halfWidth, halfHeight] = [56, 19]

/** From, to, the path, its label, and the position of the label. */
const ways = [
  ['closed', 'connecting', 'M96 114 Q130 60 170 49', 'connect()', 92, 78],
  ['connecting', 'open', 'M288 45 H350', 'opened', 318, 33],
  ['connecting', 'waiting', 'M244 66 L290 122', 'failed', 240, 100],
  ['open', 'waiting', 'M396 66 L350 122', 'lost', 398, 98],
  ['waiting', 'connecting', 'M314 124 L268 68', 'retry', 308, 92],
  ['open', 'closing', 'M468 52 Q510 58 532 74', 'close()', 520, 52],
  ['closing', 'closed', 'M530 116 Q470 186 330 182 Q190 186 126 148', 'done', 470, 160],
  ['waiting', 'closed', 'M262 147 L130 138', 'close(), gave up', 196, 133],
]

export const drawMachine = socket => {
  // In user units. In units of the stroke width, the arrowhead of a wider line would overlap its label.
  const marker = id =>
    draw(
      'marker',
      {
        id,
        viewBox: '0 0 8 8',
        refX: 7,
        refY: 4,
        markerWidth: 10,
        markerHeight: 10,
        markerUnits: 'userSpaceOnUse',
        orient: 'auto',
      },
      draw('path', { class: id, d: 'M0 0 L8 4 L0 8 z' }),
    )
  page.machine.append(draw('defs', {}, marker('tip'), marker('tip-now')))

  const paths = new Map()
  for (const [from, to, d, word, x, y] of ways) {
    const path = draw(
      'g',
      { class: 'way' },
      draw('path', { d, 'marker-end': 'url(#tip)' }),
      draw('text', { x, y }, word),
    )
    paths.set(`${from} ${to}`, path)
    page.machine.append(path)
  }
  const states = new Map()
  for (const [name, [x, y]] of Object.entries(places)) {
    const box = draw('rect', {
      x: x - halfWidth,
      y: y - halfHeight,
      width: 2 * halfWidth,
      height: 2 * halfHeight,
      rx: halfHeight,
    })
    const state = draw('g', { class: `state ${name}` }, box, draw('text', { x, y: y + 5 }, name))
    states.set(name, state)
    page.machine.append(state)
  }

  let last
  const show = ({ name }) => {
    page.machine.setAttribute('aria-label', `State machine. The current state is ${name}`)
    for (const [state, element] of states) element.classList.toggle('now', state === name)
    for (const [way, element] of paths) element.classList.toggle('now', way === `${last} ${name}`)
    last = name
  }
  socket.on('state', show)
  show(socket.state)
}
