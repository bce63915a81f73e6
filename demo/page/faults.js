// The buttons that break the connection: what to expect, and what was measured on this page.
import { announce, button, duration, make, page, prepend, write } from './dom.js'

const faults = {
  cut: [
    'Cut',
    'A TCP reset',
    'The page detects it at once and is back within two seconds. Messages sent in between are queued, then sent in order.',
  ],
  freeze: [
    'Freeze',
    'Half-open, no data',
    'The browser does not detect it. The heartbeat does within three seconds, and a new connection replaces the old one. Messages sent over the dead connection are lost: the plain stream cannot know which, and the reliable one resends them.',
  ],
  refuse: [
    'Refuse for 5 s',
    'Cut, then 503',
    'Attempts fail, and the delays grow. They are random, so that clients do not all come back at once. The page is back shortly after five seconds.',
  ],
  restart: [
    'Restart',
    '1012, gone for 3\u00a0s',
    'The server sends a close frame that says when to return. Clients come back at different times, and reliable sessions continue where they stopped.',
  ],
  slow: [
    'Slow down',
    '400\u00a0ms each way',
    'Latency rises above 800 ms. The connection stays open, because slow is not dead.',
  ],
  busy: [
    'Overloaded',
    '1013, retry-after=4',
    'The server says how long to wait. No attempt is made before that.',
  ],
  kill: [
    'Kill a node',
    'SIGKILL to the node that serves you',
    'The process ends at once. Another node takes over within two seconds with the same data, and reliable sessions continue where they stopped. The node restarts after a few seconds.',
  ],
}

const closing =
  'The server closes the connection with this code. After a final code the page does not reconnect: press Connect.'
const maxExperiments = 8
const settled = 1_500
const figures = ['noticed', 'back', 'waited', 'returned', 'fault-lost-plain', 'fault-lost-reliable']

/**
 * `tallies()` returns how many messages the numbered streams have lost, to compare before and after a fault. `onAnswer()` is called with the server's
 * answer to a button.
 */
export const createFaults = (socket, { sockets, tallies }, onAnswer = () => {}) => {
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
    for (const [id, count] of [
      ['fault-lost-plain', plain],
      ['fault-lost-reliable', sure],
    ]) {
      write(page[id], count)
      page[id].dataset.verdict = count > 0 ? 'bad' : 'good'
    }
    const fate = isSlow
      ? `latency up to ${Math.round(slowest)} ms, ${noticed === undefined ? 'no reconnection' : 'a reconnection'}`
      : noticed === undefined
        ? 'nothing was detected'
        : `detected after ${duration(noticed)}, ${back === undefined ? 'not back' : `back after ${duration(back)}`}`
    const text = `${name}: ${fate}; of ${probes.length} messages, ${waited} were queued and ${came} arrived, ${inOrder ? 'in order' : 'out of order'}. Lost from the streams: plain ${plain}, reliable ${sure}.`
    end(text, 'done')
    if (page.experiments.textContent === 'None yet.') page.experiments.textContent = ''
    prepend(page.experiments, make('li', '', text), maxExperiments)
  }

  const measure = () => {
    const { started, until, back, isSlow } = running
    const now = performance.now()
    // The streams may reconnect later than the feed. Their next message shows what they lost.
    const areBack = sockets.every(({ state }) => state.name === 'open')
    if (back === undefined || !areBack) running.settling = now
    const isOver = isSlow
      ? now > started + until
      : back !== undefined
        ? now > running.settling + settled
        : socket.state.name === 'closed' || now > started + until
    if (isOver) return finish()
    // A numbered message five times a second shows what happens to messages during an outage.
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
      /** Since when all connections are open: from the beginning, if they are back before the first look. */
      settling: performance.now(),
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
    for (const id of figures) {
      write(page[id], '…')
      delete page[id].dataset.verdict
    }
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

  const clearFigures = () => {
    for (const id of figures) {
      write(page[id], '–')
      delete page[id].dataset.verdict
    }
  }

  /** The server refused to break anything, so there is nothing to measure. */
  const callOff = text => {
    clearFigures()
    end(text, 'idle')
  }

  const control = async path => {
    const experiment = running
    let tell = text => write(page.happened, text)
    let text
    try {
      const answer = await fetch(path, { method: 'POST' })
      text = (await answer.text()).trim()
      onAnswer(text)
      if (!answer.ok) tell = callOff
    } catch {
      // The fault may have ended the request, too.
      text = 'The server does not answer.'
    }
    // A slow answer may come after the experiment. It must not replace its result.
    if (running === experiment) tell(text)
  }

  for (const [id, [name, how, expectation]] of Object.entries(faults)) {
    const press = button('danger', '', () => {
      begin(name, expectation, id === 'slow', id === 'slow' ? 9_000 : 25_000)
      control(press.dataset.path ?? `/control/${id}`)
    })
    press.append(make('b', '', name), make('span', '', how))
    press.id = `fault-${id}`
    // Hidden until the server reports its nodes.
    press.hidden = id === 'kill'
    page.faults.append(press)
  }
  page.duplicate.onclick = () => {
    write(
      page.expect,
      'A second window has its own connections. What you send or draw in one appears in the other.',
    )
    write(page.happened, 'The number of visitors at the top has gone up by one.')
  }

  page['close-form'].onsubmit = event => {
    event.preventDefault()
    begin(`Close with ${page.code.value}`, closing, false, 25_000)
    control(`/control/close?code=${page.code.value}`)
  }

  return {
    /** Shows what happened without a button of this page. During an experiment, its result says more. */
    tell(text) {
      if (running) return
      clearFigures()
      write(page.expect, 'No button of this page was pressed.')
      write(page.happened, text)
      page.result.dataset.phase = 'idle'
    },
    /** The server has echoed one of the numbered messages. */
    echo(number) {
      const probe = echoes.get(number)
      if (!probe) return
      probe.came = ++arrivals
      // Not the heartbeat's latency: it pings only after silence, and here five messages per second arrive.
      if (running) running.slowest = Math.max(running.slowest, performance.now() - probe.sent)
    },
  }
}
