// The state of the socket, the countdown, the counts, and a log of its events.
import { announce, make, page, prepend, seconds, time, write } from './dom.js'

const shownEvents = 100

/** For example `CONNECTION_LOST: 1006`. */
const explain = error => error?.message ?? '–'

export const showStatus = socket => {
  const log = (type, text) =>
    prepend(page.log, make('li', type, time(Date.now()), make('b', '', type), text), shownEvents)

  const showCountdown = () => {
    const { state } = socket
    const isWaiting = state.name === 'waiting'
    const left = isWaiting ? Math.max(0, state.until - Date.now()) : 0
    write(page.countdown, isWaiting ? seconds(left) : '')
    page.progress.value = isWaiting && state.delay > 0 && left < Infinity ? 1 - left / state.delay : 0
  }

  const showStats = () => {
    const stats = Object.entries(socket.stats).filter(([name]) => name !== 'latency')
    if (!page.stats.childElementCount) {
      page.stats.append(...stats.map(([name]) => make('div', '', make('dt', '', name), make('dd'))))
    }
    stats.forEach(([, value], at) => {
      write(page.stats.children[at].lastElementChild, value)
    })
  }

  const showState = ({ name, cause }) => {
    document.body.dataset.state = name
    write(page.state, name)
    const isTrouble = name === 'waiting' || name === 'closed'
    write(page.cause, isTrouble ? explain(cause) : name === 'open' ? 'Open' : 'Connecting')
    page.connect.classList.toggle('primary', name === 'closed')
    showCountdown()
  }

  socket.on('state', state => {
    showState(state)
    const { name, cause, delay } = state
    const why = cause ? ` after ${cause.code}` : ''
    log('state', name === 'waiting' ? `waiting${why}, next attempt: ${seconds(delay)}` : `${name}${why}`)
    if (name !== 'connecting') announce(`The connection is ${name}`)
  })
  socket.on('open', ({ reconnected, attempt }) => {
    log('open', `${reconnected ? 'reconnected' : 'first connection'}, failed attempts before: ${attempt}`)
  })
  socket.on('close', ({ code, reason, willRetry, delay }) => {
    const future = willRetry ? `next attempt: ${seconds(delay)}` : 'final'
    log('close', `${code}${reason && ` “${reason}”`}, ${future}`)
  })
  socket.on('error', error => log('error', explain(error)))
  socket.on('drop', ({ reason }) => log('drop', `a message was dropped: ${reason}`))

  showState(socket.state)
  showStats()
  setInterval(() => {
    showCountdown()
    showStats()
  }, 200)
}
