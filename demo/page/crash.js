// The experiment "Crash in the middle of a burst": a worker sends numbers through an outbox, and is terminated again and again.
import { newId, page, write } from './dom.js'

const crashes = 10
/** Each worker is terminated within this many milliseconds after it has begun to send. */
const longest = 400

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
  page.crash.onclick = async () => {
    page.crash.disabled = true
    try {
      const counts = await run(text => write(page['crash-status'], text))
      for (const name in counts) write(page[`crash-${name}`], counts[name].toLocaleString('en'))
      write(page['crash-status'], `${crashes} crashes: ${counts.lost} lost, ${counts.twice} handled twice.`)
    } finally {
      page.crash.disabled = false
    }
  }
}
