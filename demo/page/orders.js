// Orders as calls: over `steadysocket/calls`, and over a plain WebSocket. Shows which outcome each order has when the connection or the server
// fails, and how many orders the server has carried out.
import { calls, jsonRpc } from '/dist/calls.min.js'
import { backoff, createSocket } from '/dist/index.min.js'
import { address, announce, duration, make, newId, page, write } from './dom.js'

const amount = 5
/** In milliseconds: how long the page waits for a reply, and how long late replies and orders are awaited. */
const timeout = 1_000
const settled = 400
const patience = 3_000

const experiments = {
  offline: [
    'Ordered while offline',
    'The connection is cut, and new ones are refused. The orders are placed after the cut.',
  ],
  cut: [
    'Cut before the reply',
    'The server carries out the orders. The connection is cut before the replies are sent.',
  ],
  silent: ['No reply', 'The server carries out the orders, but never replies. The connection stays open.'],
}

const meanings = {
  NOT_SENT: 'certainly not carried out',
  UNKNOWN: 'possibly carried out',
  TIMEOUT: 'possibly carried out, now or later',
}

const pause = ms => new Promise(done => setTimeout(done, ms))
const until = async isTrue => {
  while (!(await isTrue())) await pause(30)
}

/** Calls as many pages implement them: a reply is matched by its id, and nothing but a reply ends a call. */
const createPlainCalls = url => {
  const replies = new Map()
  let socket
  let last = 0

  const connect = () => {
    socket = new WebSocket(url)
    socket.onmessage = ({ data }) => {
      const { id, result } = JSON.parse(data)
      replies.get(id)?.(result)
      replies.delete(id)
    }
    socket.onclose = () => setTimeout(connect, 1_000)
  }
  connect()

  return {
    get isOpen() {
      return socket.readyState === WebSocket.OPEN
    },
    call(method, params) {
      return new Promise(resolve => {
        replies.set(++last, resolve)
        socket.send(JSON.stringify({ jsonrpc: '2.0', id: last, method, params }))
      })
    },
  }
}

/** Both ways to call the server, on connections of their own. */
const connect = () => {
  const ids = { plain: newId(), calls: newId() }
  const plain = createPlainCalls(address(`/rpc?id=${ids.plain}`))
  const api = calls(
    prepare =>
      createSocket(address(`/rpc?id=${ids.calls}`), { prepare, retry: backoff({ base: 500, max: 800 }) }),
    jsonRpc(),
  )
  return {
    plain,
    api,
    areOpen: () => plain.isOpen && api.socket.state.name === 'open',
    areClosed: () => !plain.isOpen && api.socket.state.name !== 'open',
    async cut(seconds) {
      const paths = Object.values(ids).map(id => `/control/away?id=${id}&seconds=${seconds}`)
      await Promise.all(paths.map(path => fetch(path, { method: 'POST' })))
    },
    count: batch => api.call('count', { batch }, { again: 'always' }),
  }
}

/** Places the orders and shows each of them. The outcomes change as they come. */
const place = (list, call) => {
  const started = performance.now()
  const outcomes = Array.from({ length: amount }, () => 'pending')
  const items = outcomes.map((_, n) => make('li', 'pending', make('b', '', n + 1), ' pending'))
  list.replaceChildren(...items)
  const note = (n, outcome) => {
    outcomes[n] = outcome
    items[n].className = outcome
    write(items[n].lastChild, ` ${outcome === 'done' ? duration(performance.now() - started) : outcome}`)
  }
  for (const n of outcomes.keys()) {
    call().then(
      () => note(n, 'done'),
      error => note(n, meanings[error.code] ? error.code : 'none'),
    )
  }
  return {
    outcomes,
    /** Calls that are still pending now never end. */
    giveUp() {
      for (const [n, outcome] of outcomes.entries()) if (outcome === 'pending') note(n, 'none')
    },
  }
}

const sum = outcomes => {
  const counts = new Map()
  for (const outcome of outcomes) counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
  return [...counts].map(([outcome, count]) => `${count} ${outcome}`).join(', ')
}

const describe = (title, outcomes, lost, [plainCount, count]) => {
  const meaning = meanings[outcomes[0]] ?? 'carried out'
  return `${title}: calls() reports ${sum(outcomes)}, which means ${meaning}. The server carried out ${count} of ${amount}. Over the plain WebSocket, ${lost} of ${amount} orders have no outcome, and the server carried out ${plainCount}.`
}

/** Orders that were sent over the other connection may be carried out a little later. */
const countLate = async (countAll, expected) => {
  const end = performance.now() + patience
  let counts
  await until(async () => {
    counts = await countAll()
    return counts.every(count => count === expected) || performance.now() > end
  })
  return counts
}

const run = async (link, name) => {
  const [title] = experiments[name]
  const batches = [newId(), newId()]
  await until(link.areOpen)
  if (name === 'offline') {
    await link.cut(10)
    await until(link.areClosed)
  }
  // Tells the server not to reply. A page whose connection is cut cannot know whether the server would have replied.
  const params = batch => ({ batch, work: null })
  const plain = place(page['plain-orders'], () => link.plain.call('order', params(batches[0])))
  const limit = { timeout: name === 'cut' ? 10_000 : timeout }
  const ours = place(page['calls-orders'], () => link.api.call('order', params(batches[1]), limit))
  const countAll = () => Promise.all(batches.map(link.count))
  if (name === 'cut') {
    await until(async () => (await countAll()).every(count => count === amount))
    await link.cut(0)
  }
  await until(() => !ours.outcomes.includes('pending'))
  // The server is back.
  if (name === 'offline') await link.cut(0)
  await until(link.areOpen)
  await pause(settled)
  plain.giveUp()
  const counts = await countLate(countAll, name === 'offline' ? 0 : amount)
  const lost = plain.outcomes.filter(outcome => outcome === 'none').length
  const [, ...cells] = page[`orders-${name}`].cells
  const values = [sum(plain.outcomes), counts[0], sum(ours.outcomes), counts[1]]
  for (const [n, value] of values.entries()) write(cells[n], value)
  return describe(title, ours.outcomes, lost, counts)
}

/** Connects the buttons. The connections are made when the first of them is pressed. */
export const createOrders = () => {
  const buttons = Object.keys(experiments).map(name => [name, page[`order-${name}`]])
  let link
  let isBusy = false

  const show = busy => {
    isBusy = busy
    for (const [, button] of buttons) button.setAttribute('aria-disabled', busy)
  }

  for (const [name, button] of buttons) {
    button.onclick = async () => {
      if (isBusy) return
      show(true)
      write(page.ordered, experiments[name][1])
      link ??= connect()
      const text = await run(link, name).catch(error => `The experiment failed: ${error.message}`)
      write(page.ordered, text)
      announce(text)
      show(false)
    }
  }
}
