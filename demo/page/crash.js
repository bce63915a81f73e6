// The experiment "Crash in the middle of a burst": a worker sends numbers through an outbox, and over a plain WebSocket, and is terminated
// again and again.
import { newId, page, write } from './dom.js'

const crashes = 10
/** Each worker is terminated within this many milliseconds after it has begun to send. */
const longest = 400
/** How long to wait for the last numbers over the plain WebSocket, in milliseconds. */
const patience = 2_000

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
  const channel = new BroadcastChannel(id)
  const left = { plain: 0, outbox: 0 }
  let nextPlain = 1
  let counts = {}
  channel.onmessage = ({ data }) => {
    nextPlain = data
  }
  /** Cuts both connections of the worker, and refuses new ones, for this many seconds. */
  const away = seconds => fetch(`/control/away?id=${id}&seconds=${seconds}`, { method: 'POST' })

  const begin = async () => {
    const worker = new Worker(`/page/crash-worker.js?id=${id}&plain=${nextPlain}`, { type: 'module' })
    worker.addEventListener('message', ({ data }) => {
      if (data.kind === 'counts') counts = data.counts
    })
    const started = await next(worker, 'started')
    left.outbox += started.left
    return worker
  }

  for (let n = 1; n <= crashes; n++) {
    const worker = await begin()
    await pause(50 + Math.random() * longest)
    const isOffline = n % 2 === 0
    if (isOffline) {
      await away(10)
      await pause(50 + Math.random() * longest)
    }
    worker.terminate()
    if (isOffline) await away(0)
    show(`Crash ${n} of ${crashes}${isOffline ? ', while offline' : ''}.`)
  }
  const worker = await begin()
  await pause(longest)
  worker.postMessage('stop')
  const { accepted } = await next(worker, 'done')
  // The server's messages contain its counts. The last numbers over the plain WebSocket may never arrive.
  const end = performance.now() + patience
  const isMissing = way => counts[way].last < accepted[way]
  while (isMissing('outbox') || (isMissing('plain') && performance.now() < end)) await next(worker, 'counts')
  worker.terminate()
  channel.close()
  return Object.keys(left).map(way => {
    const { arrived: handled, twice } = counts[way]
    return { accepted: accepted[way], handled, lost: accepted[way] - handled, twice, left: left[way] }
  })
}

const format = count => count.toLocaleString('en')
const show = (cell, name, count) => {
  write(cell, format(count))
  if (name === 'lost' || name === 'twice') cell.dataset.verdict = count ? 'bad' : 'good'
}

export const createCrash = () => {
  let isBusy = false
  page.crash.onclick = async () => {
    if (isBusy) return
    isBusy = true
    page.crash.setAttribute('aria-disabled', 'true')
    try {
      const [plain, outbox] = await run(text => write(page['crash-status'], text))
      for (const name in outbox) {
        show(page[`crash-${name}`], name, outbox[name])
        show(page[`plain-crash-${name}`], name, plain[name])
      }
      const summary = `${crashes} crashes: ${outbox.lost} lost, ${outbox.twice} handled twice.`
      const comparison = `The plain WebSocket lost ${format(plain.lost)} of ${format(plain.accepted)}.`
      write(page['crash-status'], `${summary} ${comparison}`)
    } finally {
      isBusy = false
      page.crash.setAttribute('aria-disabled', 'false')
    }
  }
}
