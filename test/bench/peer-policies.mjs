// The retry policies of the other libraries, derived from their source code, for the simulation. peer-policies.test.ts compares the delays of each
// attempt with those of the libraries themselves.
//
// A policy is called once for each client, with a source of random numbers, and returns its `retry` function. That returns the delay before the n-th
// consecutive attempt in milliseconds, or `false` to give up. Line numbers refer to the installed versions.
import { backoff } from '../../dist/index.js'

const never = () => () => false

const codeOf = ({ close }) => close?.code ?? 1006

/** Delays that grow by 30 % with each attempt: reconnecting-websocket and libraries that are derived from it. */
// reconnecting-websocket/dist/reconnecting-websocket.mjs, 457; partysocket/dist/ws.js, 292: _getNextDelay
const growingDelays = (first, max) => random => {
  const wait = first(random)
  return ({ attempt }) => Math.min(max, wait * 1.3 ** (attempt - 1))
}

/** The function that peers.mjs passes to libraries that accept one. */
const halfRandom =
  (base, max) =>
  random =>
  ({ attempt }) =>
    Math.min(max, base * 2 ** (attempt - 1)) * (0.5 + random() / 2)

/** Without delay, then `min`, and then 50 % more each time. */
// sturdy-websocket/dist/index.js, 242: reestablishConnection
const sturdyPolicy = (min, max) => () => {
  let next = 0
  return ({ attempt }) => {
    if (attempt === 1) next = 0
    const wait = next
    next = Math.max(min, Math.min(next * 1.5, max))
    return wait
  }
}

/** The package `retry` computes its delays in advance, and sorts them. With `forever`, the last one is repeated. */
// retry/lib/retry.js, 12 and 49; retry/lib/retry_operation.js, 43
const precomputedDelays =
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
    const randomNumber = random()
    const deviation = Math.floor(randomNumber * jitter * wait)
    const sign = (Math.floor(randomNumber * 10) & 1) === 0 ? -1 : 1
    return Math.min(wait + sign * deviation, max) | 0
  }

/** The policy of this package itself. */
const ours = random => backoff({ random })

/** The policies of each library, by name: its default, and that with the option `best` of peers.mjs. */
export const peerPolicies = {
  'native WebSocket': { byDefault: never },
  steadysocket: { byDefault: ours },
  // The first delay is random, and the same for all sockets of a page. Here, each client is a page. Same file, 111: DEFAULT
  'reconnecting-websocket': {
    byDefault: growingDelays(random => 1_000 + random() * 4_000, 10_000),
    best: growingDelays(random => 250 + random() * 250, 5_000),
  },
  // dist/ws.js, 55: DEFAULT
  partysocket: {
    byDefault: growingDelays(() => 3_000, 10_000),
    best: growingDelays(random => 250 + random() * 250, 5_000),
  },
  // @nktkas/rews/esm/mod.js, 166
  '@nktkas/rews': { byDefault: halfRandom(150, 10_000), best: halfRandom(150, 5_000) },
  // dist/index.js, 354: DEFAULT_OPTIONS
  'sturdy-websocket': { byDefault: sturdyPolicy(1_000, 30_000), best: sturdyPolicy(500, 5_000) },
  // robust-websocket/robust-websocket.js, 189: defaultOptions; 106: handle1000
  'robust-websocket': {
    byDefault:
      () =>
      ({ attempt, cause }) =>
        /^10(00|08|11)$/.test(codeOf(cause)) ? false : ([0, 3_000, 10_000][attempt - 1] ?? false),
    best: halfRandom(500, 5_000),
  },
  // websocket-ts/dist/esm/src/backoff/exponentialbackoff.js, 55: it counts the attempt before it returns the delay
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
      const retry = precomputedDelays({ retries: 3, min: 1_000, max: 10_000 })(random)
      return context => (/^10(08|11)$/.test(codeOf(context.cause)) ? false : retry(context))
    },
    best: precomputedDelays({ retries: 10, min: 500, max: 5_000, randomize: true, forever: true }),
  },
  // A close with 1000 completes the stream. `repeat` then starts another one, in which `retry` counts from the beginning.
  'rxjs webSocket': {
    byDefault: never,
    best: random => {
      let completed = 0
      return ({ attempt, cause }) => {
        if (attempt === 1) completed = codeOf(cause) === 1006 ? 0 : 1
        const counted = Math.max(0, attempt - 1 - completed)
        return Math.min(5_000, 500 * 2 ** counted) * (0.5 + random() / 2)
      }
    },
  },
  'socket.io-client': { byDefault: backo2(1_000), best: backo2(500) },
}
