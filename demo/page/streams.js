// Two numbered streams side by side, twenty messages a second each way: over `createSocket`, and over `createReliableSocket`.

import { backoff, createSocket } from '/dist/index.min.js'
import { createReliableSocket } from '/dist/reliable.min.js'
import { address, colour, make, newId, page, sharpen, write } from './dom.js'
import { createTally } from './tally.js'

const period = 50
const ticks = 200
const colours = { arrived: 'good', lost: 'bad', twice: 'unsure', late: 'busy' }

const rows = { arrived: 'arrived', lost: 'lost', twice: 'duplicated', late: 'out of order' }

/** Restores the session after a reload. Only once: a duplicated tab starts a new session. */
const takeSaved = () => {
  try {
    const saved = sessionStorage.getItem('reliable')
    sessionStorage.removeItem('reliable')
    return JSON.parse(saved ?? '{}')
  } catch {
    return {} // the browser denies this page storage
  }
}

/** One of the two streams. The page counts what it receives, and the server counts what it receives. `before`: the counts from before a reload. */
const createLane = (name, title, socket, send, before = {}) => {
  const down = createTally(before.heard)
  let up = { arrived: 0, lost: 0, twice: 0, late: 0, last: 0 }
  let fates = []
  let sent = before.sent ?? 0

  const cells = Object.fromEntries(Object.keys(rows).map(row => [row, [make('td'), make('td')]]))
  const state = make('span', 'mini')
  const strip = make('canvas')
  strip.setAttribute('role', 'img')
  strip.setAttribute('aria-label', `The last ${ticks} messages over the ${name} socket`)
  const gaps = make('span', 'note')
  const lane = make('article', `lane ${name}`)
  const head = make('th')
  head.append(make('span', 'hidden', 'Count'))
  const columns = ['from server', 'to server'].map(text => make('th', '', text))
  const table = make(
    'table',
    '',
    make('caption', 'hidden', `Counts of the ${name} stream`),
    make('thead', '', make('tr', '', head, ...columns)),
  )
  for (const one of [head, ...columns]) one.scope = 'col'
  const body = make('tbody')
  for (const [row, text] of Object.entries(rows)) {
    const label = make('th', '', text)
    label.scope = 'row'
    body.append(make('tr', row, label, ...cells[row]))
  }
  table.append(body)
  lane.append(make('h3', '', make('code', '', title), state), strip, table, gaps)
  page.lanes.append(lane)
  cells.lost[0].id = `${name}-lost`
  cells.arrived[0].id = `${name}-arrived`
  cells.lost[1].id = `${name}-lost-up`

  const show = () => {
    for (const row of Object.keys(rows)) {
      write(cells[row][0], down.counts[row])
      write(cells[row][1], up[row])
      cells[row][0].classList.toggle('some', down.counts[row] > 0)
      cells[row][1].classList.toggle('some', up[row] > 0)
    }
    write(state, socket.state.name)
    state.dataset.state = socket.state.name
    const { context, width, height } = sharpen(strip)
    const wide = width / ticks
    fates.forEach((fate, n) => {
      context.fillStyle = colour(colours[fate])
      context.fillRect(
        n * wide,
        fate === 'arrived' ? height * 0.25 : 0,
        Math.max(1, wide - 0.7),
        fate === 'arrived' ? height * 0.5 : height,
      )
    })
  }

  setInterval(() => {
    // The timers of a hidden page are throttled, and nobody sees the result.
    if (document.hidden || socket.state.name === 'closed') return
    send(++sent)
  }, period)
  setInterval(() => document.hidden || show(), 200)

  return {
    hear({ n, up: counts }) {
      const { last, arrived } = down.counts
      const fate = down.note(n)
      const lost = arrived && fate === 'arrived' ? Math.min(ticks, n - last - 1) : 0
      fates = [...fates, ...Array.from({ length: lost }, () => 'lost'), fate].slice(-ticks)
      up = counts
    },
    gap(text) {
      write(gaps, text)
    },
    get lost() {
      return down.counts.lost + up.lost
    },
    /** The counts, to be saved for after a reload. */
    get place() {
      return { heard: down.counts.last, sent }
    },
  }
}

export const createStreams = () => {
  const options = {
    retry: backoff({ spread: 1_500 }),
    minUptime: 1_000,
    heartbeat: { interval: 1_500, timeout: 1_000 },
  }
  const plain = createSocket(address(`/plain?id=${newId()}`), options)
  const plainLane = createLane('plain', 'createSocket', plain, n => plain.send(String(n)))
  plain.on('text', text => plainLane.hear(JSON.parse(text)))

  const { id = newId(), session, ...before } = takeSaved()
  const sure = createReliableSocket(address(`/reliable?id=${id}`), { ...options, saved: session })
  const sureLane = createLane('reliable', 'createReliableSocket', sure, n => void sure.send(n), before)
  sure.on('message', ({ data }) => sureLane.hear(data))
  sure.on('gap', gap => {
    sureLane.gap(
      `The session was lost. The outcome of ${gap.unknown?.length ?? gap.missed} messages is unknown.`,
    )
  })

  addEventListener('pagehide', () => {
    if (sure.state.name === 'closed') return
    const saved = { id, session: sure.save(), ...sureLane.place }
    sessionStorage.setItem('reliable', JSON.stringify(saved))
  })
  // A page that returns from the back/forward cache still has its session.
  addEventListener('pageshow', () => sessionStorage.removeItem('reliable'))

  return { sockets: [plain, sure], tallies: () => ({ plain: plainLane.lost, reliable: sureLane.lost }) }
}
