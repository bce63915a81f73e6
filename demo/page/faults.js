// The buttons that break the line: what to expect, and what then happened, measured on this page.
import { announce, button, duration, make, page, prepend, write } from './dom.js'

const faults = {
  cut: [
    'Cut all connections',
    'A reset, without a goodbye',
    'Noticed at once. Back within two seconds. What is sent meanwhile waits, then leaves in order.',
  ],
  freeze: [
    'Freeze',
    'Half-open: nothing moves',
    'The browser notices nothing. The heartbeat does, within three seconds, and a new connection is made at once. What was sent into the dead one is lost: plain cannot know, reliable does.',
  ],
  refuse: [
    'Refuse for 5 s',
    'Cut, then 503',
    'Attempts fail, the waits grow, none of them in step with others. Back soon after five seconds.',
  ],
  restart: [
    'Restart the server',
    '1012, gone for 3\u00a0s',
    'The server says goodbye and when to return. Connections come back spread out; reliable sessions go on where they were.',
  ],
  slow: [
    'Slow down',
    '400\u00a0ms each way, 8\u00a0s',
    'Latency climbs over 800 ms. Nothing is closed: slow is not dead.',
  ],
  kill: [
    'Kill a node',
    'SIGKILL: the one that serves you',
    'The process is gone at once. Another node takes over within two seconds, with the same world; reliable sessions go on where they were. The node is back after some seconds.',
  ],
  busy: ['Too busy', '1013, retry-after=4', 'The server names the wait. No attempt comes before it is over.'],
}

const closing =
  'Closed in the way of the protocol. Codes that mean “do not come back” are obeyed: then press Connect.'
const maxExperiments = 8
const settled = 1_500
const figures = ['noticed', 'back', 'waited', 'returned']

/** `tallies()` gives what the numbered streams have lost, for the difference that a fault made. */
export const createFaults = (socket, { sockets, tallies }) => {
  let running
  let n = 0
  let arrivals = 0
  const echoes = new Map()

  const end = (text, phase) => {
    clearInterval(running.timer)
    write(page.happened, text)
    page.result.dataset.phase = phase
    announce(text)
    running = undefined
    echoes.clear()
  }

  const finish = () => {
    const { name, waited, probes, before, noticed, back, slowest, isSlow } = running
    const came = probes.filter(({ came }) => came).length
    const order = probes.filter(({ came }) => came).map(({ came }) => came)
    const inOrder = order.every((at, n) => n === 0 || at > order[n - 1])
    const after = tallies()
    const plain = after.plain - before.plain
    const sure = after.reliable - before.reliable
    const fate = isSlow
      ? `latency up to ${Math.round(slowest)} ms, ${noticed === undefined ? 'no reconnection' : 'a reconnection'}`
      : noticed === undefined
        ? 'nothing was noticed'
        : `noticed after ${duration(noticed)}, ${back === undefined ? 'not back' : `back after ${duration(back)}`}`
    const text = `${name}: ${fate}; of ${probes.length} messages ${waited} waited and ${came} arrived, ${inOrder ? 'in order' : 'out of order'}. Lost from the streams: plain ${plain}, reliable ${sure}.`
    end(text, 'done')
    if (page.experiments.textContent === 'None yet.') page.experiments.textContent = ''
    prepend(page.experiments, make('li', '', text), maxExperiments)
  }

  const measure = () => {
    const { started, until, back, isSlow } = running
    const now = performance.now()
    // The streams may be back later than the feed. What they lost shows with their next message.
    const areBack = sockets.every(({ state }) => state.name === 'open')
    if (back === undefined || !areBack) running.settling = now
    const isOver = isSlow
      ? now > started + until
      : back !== undefined
        ? now > running.settling + settled
        : socket.state.name === 'closed' || now > started + until
    if (isOver) return finish()
    // A numbered message five times a second, to see what becomes of what is sent in an outage.
    if (back === undefined && running.probes.length < 200) {
      const probe = { sent: now, came: 0 }
      echoes.set(++n, probe)
      running.probes.push(probe)
      if (socket.send(JSON.stringify({ type: 'echo', n })) === 'queued') running.waited++
    }
    write(page.waited, running.waited)
    write(page.returned, `${running.probes.filter(({ came }) => came).length} of ${running.probes.length}`)
  }

  const begin = (name, expectation, isSlow, until) => {
    if (running) finish()
    running = {
      name,
      isSlow,
      until,
      started: performance.now(),
      waited: 0,
      probes: [],
      before: tallies(),
      slowest: 0,
      noticed: undefined,
      back: undefined,
    }
    running.timer = setInterval(measure, 200)
    page.result.dataset.phase = 'running'
    write(page.expect, expectation)
    for (const id of figures) write(page[id], '…')
    write(page.happened, 'Measuring …')
  }

  socket.on('state', ({ name }) => {
    if (!running) return
    const after = performance.now() - running.started
    if (name !== 'open' && running.noticed === undefined) {
      running.noticed = after
      write(page.noticed, duration(after))
    }
    if (name === 'open' && running.noticed !== undefined && running.back === undefined) {
      running.back = after
      write(page.back, duration(after))
    }
  })

  /** Nothing was broken, so there is nothing to measure. */
  const callOff = (text, experiment) => {
    if (running !== experiment) return
    for (const id of figures) write(page[id], '–')
    end(text, 'idle')
  }

  const control = async path => {
    const experiment = running
    try {
      const answer = await fetch(path, { method: 'POST' })
      const text = (await answer.text()).trim()
      if (answer.ok) write(page.happened, text)
      else callOff(text, experiment)
    } catch {
      // What was broken may have taken the answer with it.
      write(page.happened, 'The server does not answer.')
    }
  }

  for (const [id, [name, how, expectation]] of Object.entries(faults)) {
    const press = button('danger', '', () => {
      begin(name, expectation, id === 'slow', id === 'slow' ? 9_000 : 25_000)
      control(press.dataset.path ?? `/control/${id}`)
    })
    press.append(make('b', '', name), make('span', '', how))
    press.id = `fault-${id}`
    // Until there are nodes to choose from.
    press.hidden = id === 'kill'
    page.faults.append(press)
  }
  const twin = make('a', 'fault', make('b', '', 'Duplicate tab'), make('span', '', 'See both live'))
  Object.assign(twin, { id: 'duplicate', href: '/', target: '_blank', rel: 'noopener' })
  twin.onclick = () => {
    write(
      page.expect,
      'A second window with connections of its own. Push from one, draw in one: the other has it at once.',
    )
    write(page.happened, 'Look at “here”, at the top: one more.')
  }
  page.faults.append(twin)

  page['close-form'].onsubmit = event => {
    event.preventDefault()
    begin(`Close with ${page.code.value}`, closing, false, 25_000)
    control(`/control/close?code=${page.code.value}`)
  }

  return {
    /** The server gave back one of the numbered messages. */
    echo(number) {
      const probe = echoes.get(number)
      if (!probe) return
      probe.came = ++arrivals
      // Not the heartbeat's latency: that is asked for in silence only, and here five messages a second come back.
      if (running) running.slowest = Math.max(running.slowest, performance.now() - probe.sent)
    },
  }
}
