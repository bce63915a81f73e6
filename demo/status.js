// The state of the socket, the countdown, and the numbers.
import { make, seconds, write } from './layout.js'

/** Such as `CONNECTION_LOST: 1006`. */
export const explain = error => error?.message ?? '–'

/** Shows the state when it changes; `tick` shows what changes with time. */
export const showStatus = (page, socket) => {
  const showCountdown = () => {
    const { state, latency } = socket
    const isWaiting = state.name === 'waiting'
    const left = isWaiting ? Math.max(0, state.until - Date.now()) : 0
    write(page.countdown, isWaiting ? seconds(left) : '–')
    page.progress.value = isWaiting && state.delay > 0 && left < Infinity ? 1 - left / state.delay : 0
    write(page.latency, Number.isFinite(latency) ? `${Math.round(latency)} ms` : '–')
  }

  const showStats = () => {
    const stats = Object.entries(socket.stats)
    while (page.stats.childElementCount < stats.length) {
      const head = make('th')
      head.scope = 'row'
      page.stats.append(make('tr', '', head, make('td')))
    }
    stats.forEach(([name, value], at) => {
      const [head, cell] = page.stats.children[at].children
      write(head, name)
      write(cell, Number.isFinite(value) ? Math.round(value) : '–')
    })
  }

  const showState = state => {
    document.body.dataset.state = state.name
    write(page.state, state.name)
    write(page.attempt, state.attempt ?? '–')
    write(page.cause, explain(state.cause))
    showCountdown()
  }

  const tick = () => {
    showCountdown()
    showStats()
  }

  socket.on('state', showState)
  showState(socket.state)
  tick()
  return tick
}
