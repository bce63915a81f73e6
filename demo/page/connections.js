// Two connections of one socket, drawn one below the other, then the messages that the page received, and those over a plain WebSocket.
import { duration, make, page, write } from './dom.js'

/** More than the attempts that can fail while one connection stays open. */
const remembered = 100
/** The shortest time that the bars show, of which `before` is the time before the start. In milliseconds. */
const shortest = 2_000
const before = 500

/**
 * Returns a class to be used as `WebSocket`, and its latest connections, oldest first. Each connection is a list of `{ name, at }`: since
 * when it was connecting, open, closing and closed.
 */
export const recordConnections = () => {
  const connections = []

  class RecordedWebSocket extends WebSocket {
    constructor(...given) {
      super(...given)
      const phases = []
      this.enter = name => phases.push({ name, at: performance.now() })
      this.enter('connecting')
      this.addEventListener('open', () => this.enter('open'))
      this.addEventListener('close', () => this.enter('closed'))
      connections.push(phases)
      if (connections.length > remembered) connections.shift()
    }
    close(...given) {
      if (this.readyState < WebSocket.CLOSING) this.enter('closing')
      super.close(...given)
    }
  }
  return { WebSocket: RecordedWebSocket, connections }
}

/** For example `connecting (152 ms) → open`. The time for which the connection was open is left out. */
const describe = phases =>
  phases
    .map(({ name, at }, n) => {
      const isMeasured = phases[n + 1] && name !== 'open'
      return isMeasured ? `${name} (${duration(phases[n + 1].at - at)})` : name
    })
    .join(' → ')

/** Returns a function that draws two connections and the messages around the moment `start`. */
export const createConnectionView = () => {
  const addLane = (id, label) => {
    const words = make('span', '', '–')
    words.id = id
    const track = make('div', 'track')
    track.setAttribute('aria-hidden', 'true')
    page.connections.append(make('p', '', make('span', 'label', label), words), track)
    return { words, track }
  }
  const first = addLane('first-connection', 'First connection')
  const second = addLane('second-connection', 'Second connection')
  const received = addLane('received', 'Messages from the server')
  const plain = addLane('plain-received', 'The same over a plain WebSocket')

  /** `streams`: of the socket and of the plain WebSocket, the messages and a summary of them. */
  return ({ start, connections, streams }) => {
    const now = performance.now()
    const from = start - before
    const span = Math.max(shortest, now - from)
    const bar = (name, at, until = at) => {
      const one = make('i', name)
      one.style.left = `${((at - from) / span) * 100}%`
      one.style.width = `${((until - at) / span) * 100}%`
      return one
    }

    for (const [at, { words, track }] of [first, second].entries()) {
      const all = connections[at] ?? []
      const phases = all.filter((_, n) => !all[n + 1] || all[n + 1].at > from)
      write(words, describe(phases) || '–')
      const ends = phases.map((_, n) => phases[n + 1]?.at ?? now)
      const bars = phases.map(({ name, at }, n) => bar(name, Math.max(at, from), ends[n]))
      track.replaceChildren(...bars.filter((_, n) => phases[n].name !== 'closed'), bar('start', start))
    }
    for (const [at, { words, track }] of [received, plain].entries()) {
      const { messages, summary } = streams[at]
      write(words, summary)
      const marks = messages
        .filter(({ at }) => at > from)
        .map(({ at, isLost }) => bar(isLost ? 'drop' : 'in', at))
      track.replaceChildren(...marks, bar('start', start))
    }
  }
}
