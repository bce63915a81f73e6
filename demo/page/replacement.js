// Replaces an open connection in three ways, and compares them: `handover()`, `reconnect()`, and waking up after sleep. The stream has no
// heartbeat, which would notice the dead connection while the laptop sleeps: the timers of this page go on.
import { createConnectionView, recordConnections } from './connections.js'
import { announce, duration, newId, page, write } from './dom.js'
import { createNumberedStream } from './numbered.js'

/** In milliseconds each way. Without a delay, handshakes on one machine would be too short to be seen. */
const delay = 75
/** How long to measure at least, how long after the new connection has opened, and how long to wait for it. */
const shortest = 1_500
const settled = 700
const patience = 10_000
/** The server ends a frozen connection after 30 s, which the browser would notice. */
const longestSleep = 20_000

const measuring = 'Measuring …'

const last = list => list[list.length - 1]

/** For how long both connections were open. Negative: for how long none was open. */
const overlap = (first, second) =>
  first.find(({ name }) => name.startsWith('clos')).at - second.find(({ name }) => name === 'open').at

const explain = ({ way, first, second, slept, state, start, opened }, lost, silence) => {
  if (way !== 'sleep') {
    const both = overlap(first, second)
    const count = both > 0 ? 'two connections were' : 'no connection was'
    return `${way}(): for ${duration(Math.abs(both))}, ${count} open. Lost: ${lost.down} messages from the server, ${lost.up} to the server. The longest silence was ${duration(silence)}.`
  }
  return `After ${duration(slept)} of sleep the state was still ${state}. A second connection took over ${duration(opened - start)} after the page woke up. ${lost.queued} messages of the page waited for it, and ${lost.up} were lost. What the server sent meanwhile is lost: ${lost.down} messages. A reliable stream would get them now.`
}

/** Measures one replacement at a time, and shows it. `onChange`: one has begun or ended. */
const createTrial = (stream, connections, onChange) => {
  const draw = createConnectionView()
  let run

  const findOpen = () => last(connections.filter(phases => last(phases).name === 'open'))

  const lost = () => {
    const { down, up, queued } = stream.counts
    return { down: down - run.before.down, up: up - run.before.up, queued: queued - run.before.queued }
  }

  const show = () => {
    draw({
      start: run.start,
      connections: [...new Set([run.first, run.second ?? last(connections)])],
      messages: stream.messages,
      summary: `${lost().down} lost, longest silence ${duration(stream.silence)}`,
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
    const { down, up } = lost()
    if (!run.opened) return end('The connection was not replaced within 10 s.')
    const [, ...cells] = page[`way-${run.way}`].cells
    for (const [n, value] of [down, up, duration(stream.silence)].entries()) write(cells[n], value)
    end(explain(run, lost(), stream.silence))
  }

  const look = () => {
    show()
    if (run.isAsleep) return
    const until = run.opened ? Math.max(run.start + shortest, run.opened + settled) : run.start + patience
    if (performance.now() > until) finish()
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
      run = { way, start, before: stream.counts, first: findOpen(), isAsleep: way === 'sleep' }
      run.timer = setInterval(look, 50)
      stream.measure(false)
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
      stream.measure(true)
      write(page.replaced, measuring)
    },
    end,
  }
}

/** Connects the buttons. Returns the socket. */
export const createReplacement = () => {
  const { WebSocket, connections } = recordConnections()
  const id = newId()
  let isAsleep = false
  let alarm
  const stream = createNumberedStream(id, delay, WebSocket, () => isAsleep)
  const { socket } = stream

  const isBusy = () => trial.isRunning || socket.state.name !== 'open'
  const showButtons = () => {
    for (const one of ['hand-over', 'reconnect-stream']) page[one].setAttribute('aria-disabled', isBusy())
    page.sleeps.setAttribute('aria-disabled', !isAsleep && isBusy())
  }
  const trial = createTrial(stream, connections, showButtons)
  socket.on('state', showButtons)
  showButtons()

  const replace = (way, act) => () => {
    if (isBusy()) return
    trial.begin(way, measuring)
    act()
  }
  page['hand-over'].onclick = replace('handover', () => socket.handover('button'))
  page['reconnect-stream'].onclick = replace('reconnect', () => socket.reconnect('button'))

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
    // What was sent before arrives.
    await new Promise(done => setTimeout(done, 2 * delay))
    const answer = await fetch(`/control/sleep?id=${id}`, { method: 'POST' }).catch(() => undefined)
    if (!answer?.ok) {
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
