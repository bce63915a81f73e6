import { checkNumber, rejectUnknown } from '../common/checks.js'
import { createTimer } from '../common/timers.js'
import { checkListener, type Listener } from './emitter.js'
import type { State } from './states.js'

/** Options of `onOutage()`. */
export interface OutageOptions {
  /** How long an outage must last to be reported, in milliseconds. There is no default. Most connections are back within 2,000. */
  grace: number
}

/** What `onOutage()` reports. */
export interface Outage<Current = State> {
  /** Whether there is an outage. */
  readonly away: boolean
  /** When the outage began, as a `Date.now()` timestamp. */
  readonly since: number
  /** The state of the socket. If it is `waiting`, the next attempt starts at `state.until`. */
  readonly state: Current
}

/** The part of a socket that `onOutage()` needs. Reliable sockets have it, too. */
export interface OutageSource {
  /** The current state. */
  readonly state: {
    readonly name: string
    readonly cause?: { readonly code: string } | undefined
    readonly delay?: number
  }
  /** Adds a listener for each change of the state, and returns a function that removes it. */
  on(type: 'state', listener: (state: any) => void): () => void
}

/** Whether there should be a connection, but is none. There should be none before `connect()`, after `close()`, and while the page is asleep. */
const isDown = ({ name, cause, delay }: OutageSource['state']) =>
  name === 'connecting' || (!!cause && cause.code !== 'CLOSED' && delay !== Infinity)

/**
 * Reports outages that last, so that a status on the page does not flicker. When the socket has not been open for `grace` milliseconds, the
 * listener is called with `away: true`, then again for each change of the state, and once with `away: false` when the outage is over. The
 * time until the first `open` counts as an outage. If the socket gives up, the outage does not end. Before `connect()`, after `close()`, and
 * while the socket waits for the page to wake up (`delay: Infinity`), there is no outage. Returns a function that stops the reports. Throws a
 * `TypeError` for an invalid `grace`, for an unknown option, and for a listener that is not a function.
 *
 * ```ts
 * onOutage(socket, { grace: 2_000 }, ({ away, since, state }) => {
 *   if (!away) banner('')
 *   else if (state.name === 'closed') banner(`Closed: ${state.cause?.close?.reason || state.cause?.message}`)
 *   else banner(`Offline since ${new Date(since).toLocaleTimeString()}`)
 * })
 * ```
 */
export const onOutage = <Source extends OutageSource>(
  socket: Source,
  { grace, ...unknown }: OutageOptions,
  listener: Listener<Outage<Source['state']>>,
): (() => void) => {
  checkNumber('grace', grace)
  rejectUnknown('onOutage', unknown, 'grace')
  checkListener(['outage'], 'outage', listener)
  const setTimer = createTimer()
  let down = false
  let away = false
  let since = 0

  const wait = () => {
    const late = Date.now() + grace + 1_000
    setTimer(grace, () => {
      // If the timer is late, the page was frozen or the process was suspended. The socket was, too, and may be open in a moment.
      away = Date.now() < late
      if (away) onState(socket.state)
      else wait()
    })
  }

  const onState = (state: Source['state']) => {
    const wasDown = down
    down = isDown(state)
    if (!down) setTimer()
    else if (!wasDown) {
      since = Date.now()
      wait()
    }
    if (away) {
      away = down
      listener({ away, since, state })
    }
  }

  onState(socket.state)
  const off = socket.on('state', onState)
  return () => {
    setTimer()
    off()
  }
}
