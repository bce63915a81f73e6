import type { SocketError } from './errors.js'

/**
 * The state of a socket. `since` and `until` are `Date.now()` timestamps, `delay` is a number of milliseconds. `attempt` is the number of
 * consecutive attempts that have failed; a connection that lasts at least `minUptime` resets it to 0.
 */
export type State =
  /** There is no connection, and there will be none until `connect()`. `cause` is absent before the first attempt. */
  | { readonly name: 'closed'; readonly cause?: SocketError }
  /** An attempt is in progress. `cause` is why the previous one failed. */
  | { readonly name: 'connecting'; readonly attempt: number; readonly cause?: SocketError | undefined }
  /** The connection is ready, and `prepare` is done. `protocol` is the subprotocol that the server selected, or an empty string. */
  | {
      readonly name: 'open'
      readonly attempt: number
      readonly since: number
      readonly url: string
      readonly protocol: string
    }
  /** The next attempt starts at `until`, `delay` after the loss; `Infinity`: when the page wakes up. `cause` is the reason. */
  | {
      readonly name: 'waiting'
      readonly attempt: number
      readonly delay: number
      readonly until: number
      readonly cause: SocketError
    }
  /** `close()` was called with `code` and `reason`, and the closing handshake is in progress. */
  | {
      readonly name: 'closing'
      readonly code: number | undefined
      readonly reason: string | undefined
      readonly cause: SocketError
    }

/** Everything that can happen to a socket, with what the next state needs to know. */
export type Input =
  | { readonly type: 'connect' }
  | { readonly type: 'opened'; readonly now: number; readonly url: string; readonly protocol: string }
  | {
      readonly type: 'lost'
      readonly now: number
      readonly cause: SocketError
      /** The number of consecutive failures, including this one. */
      readonly attempt: number
      /** The result of `retry`: `false` means to give up. */
      readonly delay: number | false
    }
  /** The page or network came back: a wait is shortened to `delay`. */
  | { readonly type: 'wake'; readonly now: number; readonly delay: number }
  /** The network is unavailable: a wait is lengthened to `delay`. */
  | { readonly type: 'offline'; readonly now: number; readonly delay: number }
  | { readonly type: 'sleep'; readonly cause: SocketError }
  /** A second connection is ready and replaces the first. */
  | { readonly type: 'replace'; readonly now: number; readonly url: string; readonly protocol: string }
  /** The connection has ended while another attempt was in progress. */
  | { readonly type: 'continue'; readonly cause: SocketError }
  | {
      readonly type: 'close'
      readonly code?: number | undefined
      readonly reason?: string | undefined
      readonly cause: SocketError
    }

/** The next state, for each state and each input. */
export type Table = {
  readonly [Name in State['name']]?: {
    readonly [Type in Input['type']]?: (
      state: Extract<State, { name: Name }>,
      input: Extract<Input, { type: Type }>,
    ) => State | undefined
  }
}

type Cause = { readonly cause: SocketError }
type Failed = { readonly attempt: number; readonly cause?: SocketError | undefined }
type Ready = { readonly now: number; readonly url: string; readonly protocol: string }
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
const open = ({ attempt }: Failed, { now, url, protocol }: Ready): State => ({
  name: 'open',
  attempt,
  since: now,
  url,
  protocol,
})

/** The wait of a page that is frozen, or in the back/forward cache. */
const ASLEEP = { delay: Infinity, now: 0 }

const first = () => connecting({ attempt: 0 })
const finish = (_: State, input: Cause) => closed(input)
const lost = (_: State, input: Extract<Input, { type: 'lost' }>) =>
  input.delay === false ? closed(input) : waiting(input, input as Wait)

/** The transitions of every socket. An absent cell means that the input is ignored. */
export const table: Table = {
  closed: {
    connect: first,
    // Closing is possible before the first attempt, too. Otherwise, messages sent after `close()` would accumulate.
    close: (state, input) => (state.cause ? undefined : closed(input)),
  },
  connecting: {
    opened: open,
    lost,
    close: finish,
  },
  open: {
    lost,
    close: (_, { code, reason, cause }) => ({ name: 'closing', code, reason, cause }),
  },
  waiting: {
    connect: connecting,
    close: finish,
  },
  closing: {
    connect: first,
    lost: closed,
  },
}

/** The transitions caused by page events: rows of the same table, needed only where those events are observed. */
export const pageTable: Table = {
  connecting: {
    sleep: ({ attempt }, { cause }) => waiting({ attempt, cause }, ASLEEP),
  },
  open: {
    sleep: (_, { cause }) => waiting({ attempt: 0, cause }, ASLEEP),
  },
  waiting: {
    // When a network comes back, all its clients wake up: the short wait spreads them. If the wait should be over by the
    // clock, the process and its timer were suspended.
    wake: (state, input) =>
      input.now > state.until || input.now + input.delay < state.until ? waiting(state, input) : undefined,
    offline: (state, input) => (input.now + input.delay > state.until ? waiting(state, input) : undefined),
    sleep: state => (state.delay < Infinity ? waiting(state, ASLEEP) : undefined),
  },
  closing: {
    sleep: closed,
  },
}

/** The transitions caused by a second connection beside the open one. */
export const handoverTable: Table = {
  open: {
    replace: (_, input) => open({ attempt: 0 }, input),
    continue: (_, { cause }) => connecting({ attempt: 1, cause }),
  },
}

/** The next state, or `undefined` if the table ignores the input. */
export const transition = (state: State, input: Input, cells: Table = table): State | undefined =>
  // The table's type guarantees that each cell accepts the state of its row and the input of its column.
  (cells[state.name] as Record<string, (state: State, input: Input) => State | undefined> | undefined)?.[
    input.type
  ]?.(state, input)

/** The number of consecutive failures after a loss. A connection that lasted `minUptime` starts the count again. */
export const failures = (state: State, uptime: number, minUptime: number): number =>
  state.name !== 'open' || uptime < minUptime ? ('attempt' in state ? state.attempt : 0) + 1 : 1
