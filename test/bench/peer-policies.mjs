// When each of the peers tries again, read from its source, as policies for the simulation. That the libraries themselves do so is
// tested in peer-policies.test.ts, attempt by attempt.
//
// A policy is called once for each client, with a source of random numbers, and returns its `retry`: what it says to the n-th
// attempt in a row, in milliseconds; `false` gives up. Lines are those of the versions that are installed.
import { backoff } from '../../dist/index.js'

const never = () => () => false

const codeOf = ({ close }) => close?.code ?? 1006

/** Those that grow from a first wait by 30 % each: reconnecting-websocket and what is made from it. */
// reconnecting-websocket/dist/reconnecting-websocket.mjs, 457; partysocket/dist/ws.js, 292: _getNextDelay
const growing = (first, max) => random => {
  const wait = first(random)
  return ({ attempt }) => Math.min(max, wait * 1.3 ** (attempt - 1))
}

/** What peers.mjs gives to those that take a function. */
const halfRandom =
  (base, max) =>
  random =>
  ({ attempt }) =>
    Math.min(max, base * 2 ** (attempt - 1)) * (0.5 + random() / 2)

/** At once, then `min`, then half as much again each time. */
// sturdy-websocket/dist/index.js, 242: reestablishConnection
const sturdy = (min, max) => () => {
  let next = 0
  return ({ attempt }) => {
    if (attempt === 1) next = 0
    const wait = next
    next = Math.max(min, Math.min(next * 1.5, max))
    return wait
  }
}

/** The `retry` package makes its waits in advance, and sorts them; with `forever` the last is repeated. */
// retry/lib/retry.js, 12 and 49; retry/lib/retry_operation.js, 43
const prepared =
  ({ retries, min, max, randomize, forever }) =>
  random => {
    const waits = Array.from({ length: retries }, (_, i) =>
      Math.min(Math.round((randomize ? random() + 1 : 1) * min * 2 ** i), max),
    ).sort((a, b) => a - b)
    return ({ attempt, cause }) => {
      if (codeOf(cause) === 1000) return false
      return waits[attempt - 1] ?? (forever ? waits.at(-1) : false)
    }
  }

// socket.io-client/build/esm/contrib/backo2.js, 26
const backo2 =
  (min, max = 5_000, jitter = 0.5) =>
  random =>
  ({ attempt }) => {
    const wait = min * 2 ** (attempt - 1)
    const chance = random()
    const deviation = Math.floor(chance * jitter * wait)
    const sign = (Math.floor(chance * 10) & 1) === 0 ? -1 : 1
    return Math.min(wait + sign * deviation, max) | 0
  }

/** Ours is not only like it, it is it. */
const ours = random => backoff({ random })

/** By the name of the peer: what it does by default, and with the `best` of peers.mjs. */
export const peerPolicies = {
  'native WebSocket': { byDefault: never },
  steadysocket: { byDefault: ours },
  // The first wait is drawn once for a page: here each client is one. Its file, 111: DEFAULT
  'reconnecting-websocket': {
    byDefault: growing(random => 1_000 + random() * 4_000, 10_000),
    best: growing(random => 250 + random() * 250, 5_000),
  },
  // Its file, 55: DEFAULT
  partysocket: {
    byDefault: growing(() => 3_000, 10_000),
    best: growing(random => 250 + random() * 250, 5_000),
  },
  // @nktkas/rews/esm/mod.js, 166
  '@nktkas/rews': { byDefault: halfRandom(150, 10_000), best: halfRandom(150, 5_000) },
  // Its file, 354: DEFAULT_OPTIONS
  'sturdy-websocket': { byDefault: sturdy(1_000, 30_000), best: sturdy(500, 5_000) },
  // robust-websocket/robust-websocket.js, 189: defaultOptions; 106: handle1000
  'robust-websocket': {
    byDefault:
      () =>
      ({ attempt, cause }) =>
        /^10(00|08|11)$/.test(codeOf(cause)) ? false : ([0, 3_000, 10_000][attempt - 1] ?? false),
    best: halfRandom(500, 5_000),
  },
  // websocket-ts/dist/esm/src/backoff/exponentialbackoff.js, 55: it counts before it answers
  'websocket-ts': {
    byDefault: never,
    best:
      () =>
      ({ attempt }) =>
        500 * 2 ** Math.min(attempt, 3),
  },
  // sockette/dist/sockette.mjs, 19 and 34
  sockette: {
    byDefault:
      () =>
      ({ cause }) =>
        /^100[015]$/.test(codeOf(cause)) ? false : 1_000,
  },
  // iso-websocket/src/index.js, 72; 1000 in #maybeReconnect
  'iso-websocket': {
    byDefault: random => {
      const retry = prepared({ retries: 3, min: 1_000, max: 10_000 })(random)
      return context => (/^10(08|11)$/.test(codeOf(context.cause)) ? false : retry(context))
    },
    best: prepared({ retries: 10, min: 500, max: 5_000, randomize: true, forever: true }),
  },
  // An orderly close ends the stream, and `repeat` begins another, in which `retry` counts from the start.
  'rxjs webSocket': {
    byDefault: never,
    best: random => {
      let ended = 0
      return ({ attempt, cause }) => {
        if (attempt === 1) ended = codeOf(cause) === 1006 ? 0 : 1
        const counted = Math.max(0, attempt - 1 - ended)
        return Math.min(5_000, 500 * 2 ** counted) * (0.5 + random() / 2)
      }
    },
  },
  'socket.io-client': { byDefault: backo2(1_000), best: backo2(500) },
}
