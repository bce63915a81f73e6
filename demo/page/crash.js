// The experiment "Crash in the middle of a burst": a worker sends numbers through an outbox, and is terminated again and again.
import { button, make, newId, write } from './dom.js'

const crashes = 10
/** Each worker is terminated within this many milliseconds after it has begun to send. */
const longest = 400

const numbers = {
  accepted: 'accepted by the outbox',
  handled: 'handled by the server',
  lost: 'lost',
  twice: 'handled twice',
  left: 'found in the outbox after a crash',
}

/** Resolves with the first message of this kind. */
const next = (worker, kind) =>
  new Promise(resolve => {
    const hear = ({ data }) => {
      if (data.kind !== kind) return
      worker.removeEventListener('message', hear)
      resolve(data)
    }
    worker.addEventListener('message', hear)
  })

const pause = ms => new Promise(resolve => setTimeout(resolve, ms))

const run = async show => {
  const id = newId()
  let left = 0
  let up = {}
  const begin = async () => {
    const worker = new Worker(`/page/crash-worker.js?id=${id}`, { type: 'module' })
    worker.addEventListener('message', ({ data }) => {
      if (data.kind === 'up') up = data.up
    })
    const started = await next(worker, 'started')
    left += started.left
    return worker
  }

  for (let n = 1; n <= crashes; n++) {
    const worker = await begin()
    await pause(50 + Math.random() * longest)
    worker.terminate()
    show(`Crash ${n} of ${crashes}. The server has handled ${up.arrived} numbers.`)
  }
  const worker = await begin()
  await pause(longest)
  worker.postMessage('stop')
  const { accepted } = await next(worker, 'done')
  // The server's messages contain its counts.
  while (up.last < accepted) await next(worker, 'up')
  worker.terminate()
  return { accepted, handled: up.arrived, lost: up.lost, twice: up.twice, left }
}

export const createCrash = () => {
  const title = make('h2', '', 'Crash in the middle of a burst')
  title.id = 'crash-title'
  const status = make(
    'p',
    'note',
    `Terminates the worker that sends, ${crashes} times, while it sends 500 numbers per second.`,
  )
  status.id = 'crash-status'
  status.setAttribute('role', 'status')
  const body = make('tbody')
  const cells = Object.fromEntries(
    Object.entries(numbers).map(([name, text]) => {
      const cell = make('td', '', '–')
      cell.id = `crash-${name}`
      const label = make('th', '', text)
      label.scope = 'row'
      body.append(make('tr', '', label, cell))
      return [name, cell]
    }),
  )
  const start = button('', 'Crash', async () => {
    start.disabled = true
    try {
      const counts = await run(text => write(status, text))
      for (const [name, cell] of Object.entries(cells)) write(cell, counts[name].toLocaleString('en'))
      write(status, `${crashes} crashes: ${counts.lost} lost, ${counts.twice} handled twice.`)
    } finally {
      start.disabled = false
    }
  })
  start.id = 'crash'
  const card = make(
    'section',
    'card',
    make('div', 'head', title, make('p', 'note', 'With an outbox')),
    status,
    make('table', '', make('caption', 'hidden', 'Numbers of the last experiment'), body),
    make('div', 'line', start),
  )
  card.setAttribute('aria-labelledby', title.id)
  document.querySelector('main').append(card)
}
