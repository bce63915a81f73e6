// Replaces an open connection in four ways: `handover()`, after a deploy, `reconnect()`, and after sleep. Compares each with a plain WebSocket
// that is replaced at the same time. The streams have no heartbeat, which would detect the dead connection during the simulated sleep: the
// timers of this page keep running.
import { createConnectionView, recordConnections } from './connections.js'
import { announce, duration, newId, page, seconds, write } from './dom.js'
import { createNumberedStream, createPlainStream } from './numbered.js'

/** In milliseconds each way. Without a delay, handshakes on one machine would be too short to be seen. */
const delay = 75
/** How long the page waits, in milliseconds, until the server has received what was sent before the sleep. */
const longestWait = 10_000
/** How long to measure at least (a deploy ends connections after two seconds), how long after the new connection has opened, and how long to wait for it. */
const shortest = { deploy: 3_000, other: 1_500 }
const settled = 700
const patience = 30_000
/** After this much silence, a stream of twenty messages per second is interrupted. */
const interrupted = 300
/** The server ends a frozen connection after 30 s, which the browser would notice. */
const longestSleep = 20_000

const measuring = 'Measuring …'

const last = list => list[list.length - 1]

/** For how long both connections were open. Negative: for how long none was open. */
const overlap = (first, second) =>
  first.find(({ name }) => name.startsWith('clos')).at - second.find(({ name }) => name === 'open').at

const ways = {
  handover: 'handover()',
  deploy: 'The server announced a deploy',
  reconnect: 'reconnect()',
}

const explain = ({ way, first, second, slept, state, start, opened }, ours, plain) => {
  const end = `The plain WebSocket lost ${plain.down} from the server and ${plain.up} to it.`
  if (way !== 'sleep') {
    const both = overlap(first, second)
    const count = both > 0 ? 'two connections were' : 'no connection was'
    return `${ways[way]}: for ${duration(Math.abs(both))}, ${count} open. Lost: ${ours.down} messages from the server, ${ours.up} to the server. The longest silence was ${duration(ours.silence)}. ${end}`
  }
  return `After ${duration(slept)} of sleep the state was still ${state}. A second connection took over ${duration(opened - start)} after the page woke up. ${ours.queued} messages of the page waited for it, and ${ours.up} were lost. What the server sent meanwhile is lost: ${ours.down} messages. A reliable stream would get them now. The plain WebSocket noticed nothing, and had to be opened again by hand. It lost ${plain.down} from the server and ${plain.up} to it.`
}

/** Measures one replacement at a time, and shows it. `onChange`: one has begun or ended. */
const createTrial = (stream, plain, connections, onChange) => {
  const draw = createConnectionView()
  let run

  const findOpen = () => last(connections.filter(phases => last(phases).name === 'open'))

  const look = () => ({ ours: { ...stream.counts.lost, queued: stream.queued }, plain: plain.counts.lost })

  /** What has happened since the trial began. */
  const outcome = () => {
    const now = look()
    const since = (one, counts) => ({
      ...Object.fromEntries(Object.entries(now[one]).map(([name, n]) => [name, n - run.before[one][name]])),
      silence: counts.silence,
    })
    return { ours: since('ours', stream.counts), plain: since('plain', plain.counts) }
  }

  const show = () => {
    const { ours, plain: theirs } = outcome()
    const view = ({ messages }, { down, silence }) => ({
      messages,
      summary: `${down} lost, longest silence ${duration(silence)}`,
    })
    draw({
      start: run.start,
      connections: [...new Set([run.first, run.second ?? last(connections)])],
      streams: [view(stream.counts, ours), view(plain.counts, theirs)],
    })
  }

  const end = text => {
    clearInterval(run.timer)
    write(page.replaced, text)
    announce(text)
    run = undefined
    onChange()
  }

  const finish = () => {
    if (!run.opened) return end('The connection was not replaced within 30 s.')
    const { ours, plain: theirs } = outcome()
    const [, ...cells] = page[`way-${run.way}`].cells
    const silence = run.isByHand ? 'no end' : seconds(theirs.silence)
    const values = [ours.down, ours.up, seconds(ours.silence), theirs.down, theirs.up, silence]
    for (const [n, value] of values.entries()) write(cells[n], value)
    for (const n of [0, 1, 3, 4]) cells[n].classList.toggle('some', values[n] > 0)
    end(explain(run, ours, theirs))
  }

  /** Whether messages have been arriving on the plain stream for some time. */
  const isPlainBack = now => {
    run.plainSince = now - plain.heardAt < interrupted ? (run.plainSince ?? now) : undefined
    return now > run.plainSince + settled
  }

  const advance = () => {
    show()
    if (run.isAsleep) return
    const now = performance.now()
    if (now > run.start + patience) return finish()
    if (
      !run.opened ||
      now < Math.max(run.start + (shortest[run.way] ?? shortest.other), run.opened + settled)
    )
      return
    // Nothing else would end the silence of the plain stream before TCP does, which can take minutes.
    if (run.way === 'sleep' && !run.isByHand && plain.heardAt < run.start) {
      run.isByHand = true
      plain.replace()
    }
    if (isPlainBack(now)) finish()
  }

  stream.socket.on('open', () => {
    if (!run || run.isAsleep || run.opened) return
    run.opened = performance.now()
    run.second = findOpen()
  })

  return {
    get isRunning() {
      return run !== undefined
    },
    begin(way, text) {
      const start = performance.now()
      run = { way, start, before: look(), first: findOpen(), isAsleep: way === 'sleep' }
      run.timer = setInterval(advance, 50)
      stream.counts.measure(false)
      plain.counts.measure(false)
      write(page.replaced, text)
      onChange()
    },
    wake() {
      const now = performance.now()
      Object.assign(run, {
        isAsleep: false,
        slept: now - run.start,
        start: now,
        state: stream.socket.state.name,
      })
      stream.counts.measure(true)
      write(page.replaced, measuring)
    },
    end,
  }
}

/** Connects the buttons. Returns the socket. */
export const createReplacement = () => {
  const { WebSocket, connections } = recordConnections()
  const [id, plainId] = [newId(), newId()]
  let isAsleep = false
  let alarm
  const stream = createNumberedStream(id, delay, WebSocket, () => isAsleep)
  const plain = createPlainStream(
    plainId,
    delay,
    () => isAsleep,
    () => showButtons(),
  )
  const { socket } = stream

  const isBusy = () => trial.isRunning || socket.state.name !== 'open' || !plain.heardAt
  const showButtons = () => {
    for (const one of ['hand-over', 'deploy', 'reconnect-stream'])
      page[one].setAttribute('aria-disabled', isBusy())
    page.sleeps.setAttribute('aria-disabled', !isAsleep && isBusy())
  }
  const trial = createTrial(stream, plain, connections, showButtons)
  socket.on('state', showButtons)
  showButtons()

  const replace = (way, act) => () => {
    if (isBusy()) return
    trial.begin(way, measuring)
    act()
  }
  /** What a plain WebSocket can do for the same purpose. */
  const withPlain = act => () => {
    act()
    plain.replace()
  }
  page['hand-over'].onclick = replace(
    'handover',
    withPlain(() => socket.handover('button')),
  )
  page['reconnect-stream'].onclick = replace(
    'reconnect',
    withPlain(() => socket.reconnect('button')),
  )

  const control = path => fetch(path, { method: 'POST' }).catch(() => undefined)

  page.deploy.onclick = replace('deploy', async () => {
    const answer = await control(`/control/deploy?id=${id}&id=${plainId}`)
    if (!answer?.ok) trial.end((await answer?.text()) ?? 'The server does not answer.')
  })

  const wake = () => {
    if (!isAsleep) return
    clearTimeout(alarm)
    page.sleeps.checked = isAsleep = false
    trial.wake()
    // What a browser does when the network is back. All sockets of this page receive it.
    dispatchEvent(new Event('online'))
  }

  const sleep = async () => {
    isAsleep = true
    trial.begin('sleep', 'Falling asleep …')
    // Messages that are still on their way would be lost with the connection, and not because of the sleep.
    const end = performance.now() + longestWait
    while (!(stream.counts.hasArrived && plain.counts.hasArrived) && performance.now() < end) {
      await new Promise(done => setTimeout(done, delay))
    }
    const answers = await Promise.all([id, plainId].map(one => control(`/control/sleep?id=${one}`)))
    if (!answers.every(answer => answer?.ok)) {
      page.sleeps.checked = isAsleep = false
      return trial.end('The server could not freeze the connection.')
    }
    write(
      page.replaced,
      'The connection is frozen, and neither end is notified: the state is still open. Switch sleep off to wake the page up. It wakes up by itself after 20 s.',
    )
    alarm = setTimeout(wake, longestSleep)
  }

  let falling
  page.sleeps.onclick = event => {
    if (!isAsleep && isBusy()) event.preventDefault()
  }
  page.sleeps.onchange = () => {
    if (page.sleeps.checked) falling = sleep()
    else falling.then(wake)
  }
  return socket
}
