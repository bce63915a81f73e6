import type { SocketError } from './errors.js'

/**
 * Where a socket is. Each member carries what is true in it, and nothing more. `since` and `until` are milliseconds of
 * `Date.now()`, `delay` is in milliseconds. `attempt`: how many attempts failed in a row; it is 0 again after a connection that
 * lasted `minUptime`.
 */
export type State =
  /** No connection, and none will be made until `connect()`. Without a cause: there was no attempt yet. */
  | { readonly name: 'closed'; readonly cause?: SocketError }
  /** An attempt is under way. The one before failed because of `cause`. */
  | { readonly name: 'connecting'; readonly attempt: number; readonly cause?: SocketError | undefined }
  /** Ready since `since`, `prepare` included. `protocol`: the subprotocol that the server selected; `''`: none. */
  | {
      readonly name: 'open'
      readonly attempt: number
      readonly since: number
      readonly url: string
      readonly protocol: string
    }
  /** The next attempt starts at `until`, `delay` after the loss; `Infinity`: when the page wakes. `cause`: what was lost, and how. */
  | {
      readonly name: 'waiting'
      readonly attempt: number
      readonly delay: number
      readonly until: number
      readonly cause: SocketError
    }
  /** `close()` was called with `code` and `reason`, the closing handshake is under way. */
  | {
      readonly name: 'closing'
      readonly code: number | undefined
      readonly reason: string | undefined
      readonly cause: SocketError
    }

/** What can happen to a socket, with all that a state made from it needs to know. */
export type Input =
  | { readonly type: 'connect' }
  | { readonly type: 'opened'; readonly now: number; readonly url: string; readonly protocol: string }
  | {
      readonly type: 'lost'
      readonly now: number
      readonly cause: SocketError
      /** How many failures in a row this makes. */
      readonly attempt: number
      /** What the policy says; `false`: it gives up. */
      readonly delay: number | false
    }
  /** The page or network came back: no wait needs to be longer than `delay`. */
  | { readonly type: 'wake'; readonly now: number; readonly delay: number }
  /** The network went: no wait needs to be shorter than `delay`. */
  | { readonly type: 'offline'; readonly now: number; readonly delay: number }
  | { readonly type: 'sleep'; readonly cause: SocketError }
  | {
      readonly type: 'close'
      readonly code: number | undefined
      readonly reason: string | undefined
      readonly cause: SocketError
    }

type Table = {
  readonly [Name in State['name']]: {
    readonly [Type in Input['type']]?: (
      state: Extract<State, { name: Name }>,
      input: Extract<Input, { type: Type }>,
    ) => State | undefined
  }
}

type Cause = { readonly cause: SocketError }
type Failed = { readonly attempt: number; readonly cause?: SocketError | undefined }
type Wait = { readonly delay: number; readonly now: number }

const closed = ({ cause }: Cause): State => ({ name: 'closed', cause })
const connecting = ({ attempt, cause }: Failed): State => ({ name: 'connecting', attempt, cause })
const waiting = ({ attempt, cause }: Failed & Cause, { delay, now }: Wait): State => ({
  name: 'waiting',
  attempt,
  delay,
  until: now + delay,
  cause,
})

const ASLEEP = { delay: Infinity, now: 0 }

const first = () => connecting({ attempt: 0 })
const finish = (_: State, input: Cause) => closed(input)
const lost = (_: State, input: Extract<Input, { type: 'lost' }>) =>
  input.delay === false ? closed(input) : waiting(input, input as Wait)

/** What each state makes of each input. What is not in the table is ignored. */
const machine: Table = {
  closed: {
    connect: first,
    // Before the first attempt there is still something to refuse: what is sent after `close()` must not pile up.
    close: (state, input) => (state.cause ? undefined : closed(input)),
  },
  connecting: {
    opened: ({ attempt }, { now, url, protocol }) => ({ name: 'open', attempt, since: now, url, protocol }),
    lost,
    sleep: ({ attempt }, { cause }) => waiting({ attempt, cause }, ASLEEP),
    close: finish,
  },
  open: {
    lost,
    sleep: (_, { cause }) => waiting({ attempt: 0, cause }, ASLEEP),
    close: (_, { code, reason, cause }) => ({ name: 'closing', code, reason, cause }),
  },
  waiting: {
    connect: connecting,
    // A network that returns wakes every client behind it: the short wait keeps them apart. A wait that should be over
    // by the clock is not near: the process slept, and its timer with it.
    wake: (state, input) =>
      input.now > state.until || input.now + input.delay < state.until ? waiting(state, input) : undefined,
    offline: (state, input) => (input.now + input.delay > state.until ? waiting(state, input) : undefined),
    sleep: state => (state.delay < Infinity ? waiting(state, ASLEEP) : undefined),
    close: finish,
  },
  closing: {
    connect: first,
    lost: closed,
    sleep: closed,
  },
}

/** The state that follows, or `undefined` where the input means nothing. */
export const transition = (state: State, input: Input): State | undefined =>
  // The table's own type says that each cell takes its row's state and its column's input.
  (machine[state.name] as Record<string, (state: State, input: Input) => State | undefined>)[input.type]?.(
    state,
    input,
  )

/** How many failures in a row a loss now makes: a connection that lasted `minUptime` ended the row before it. */
export const failures = (state: State, uptime: number, minUptime: number): number =>
  state.name !== 'open' || uptime < minUptime ? ('attempt' in state ? state.attempt : 0) + 1 : 1
