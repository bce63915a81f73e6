// Rejects mistakes in the options before anything has changed.
import { checkOptionNames } from './names.js'
import type { ReliableServerOptions } from './options.js'
import type { PerClient, Rate } from './rates.js'

/** The options that are numbers. `ReliableServerOptions` documents them. */
export interface Limits {
  readonly maxUnacknowledged: number
  readonly maxUnacknowledgedBytes: number
  readonly maxMessageBytes: number
  readonly maxGroups: number
  readonly dedupeWindow: number
  readonly idTimeout: number
  readonly maxIds: number
  readonly sessionTimeout: number
  readonly handlerTimeout: number
}

const DEFAULTS: Limits = {
  maxUnacknowledged: 1_000,
  maxUnacknowledgedBytes: 2 ** 22,
  maxMessageBytes: 2 ** 20,
  maxGroups: 256,
  dedupeWindow: 4_096,
  idTimeout: 7 * 24 * 3_600_000,
  maxIds: 10_000,
  sessionTimeout: 60_000,
  handlerTimeout: 60_000,
}

const DEFAULT_RATES: PerClient<Rate> = { connection: { messages: 2_000, bytes: 2 ** 24 } }

/** All options, which the compiler compares with the interface. */
const NAMES: Record<keyof ReliableServerOptions, true> = {
  onMessage: true,
  onInvoke: true,
  onConnect: true,
  onDisconnect: true,
  onEnd: true,
  onJoin: true,
  onPublish: true,
  authorize: true,
  origins: true,
  store: true,
  maxUnacknowledged: true,
  maxUnacknowledgedBytes: true,
  maxMessageBytes: true,
  maxGroups: true,
  dedupeWindow: true,
  idTimeout: true,
  maxIds: true,
  sessionTimeout: true,
  handlerTimeout: true,
  rates: true,
  maxConnections: true,
  maxSessions: true,
  address: true,
  onFrame: true,
  onLimit: true,
  onError: true,
}

/** Throws a `TypeError` for an option that does not exist: with the misspelling `authorise`, everyone could connect. */
export const checkOptions = (options: object): void =>
  checkOptionNames('createReliableServer', options, Object.keys(NAMES))

const WHO: readonly (keyof PerClient<unknown>)[] = ['connection', 'user', 'address']

/** Throws a `TypeError` for an invalid rate. */
export const resolveRates = (rates: PerClient<Rate> | false | undefined): PerClient<Rate> => {
  if (rates === false) return {}
  const all: PerClient<Rate> = { ...DEFAULT_RATES, ...rates }
  checkOptionNames('rates', rates ?? {}, WHO)
  for (const [who, rate = {}] of Object.entries(all) as [string, Rate | undefined][]) {
    checkOptionNames(`rates.${who}`, rate, ['messages', 'bytes'])
    for (const value of Object.values(rate)) {
      if (!(value > 0))
        throw new TypeError('rates: each limit must be a number > 0, in messages or bytes per second')
    }
  }
  return all
}

/** Throws a `TypeError` for an invalid number of connections or sessions. */
export const checkPerClient = (place: 'maxConnections' | 'maxSessions', max: PerClient<number>): void => {
  checkOptionNames(
    place,
    max,
    WHO.filter(who => who !== 'connection'),
  )
  for (const value of Object.values(max)) {
    if (value !== Infinity && !(Number.isSafeInteger(value) && value > 0))
      throw new TypeError(`${place}: each limit must be an integer >= 1`)
  }
}

/** Throws a `TypeError` for an invalid limit. */
export const resolveLimits = (options: Partial<Limits>): Limits => {
  const limits: Record<keyof Limits, number> = { ...DEFAULTS }
  for (const name of Object.keys(DEFAULTS) as (keyof Limits)[]) {
    const { [name]: value = DEFAULTS[name] } = options
    const isEndless = name === 'handlerTimeout' && value === Infinity
    if (!isEndless && (!Number.isSafeInteger(value) || value < 1))
      throw new TypeError(`${name} must be an integer >= 1`)
    // A timer with a longer delay fires at once.
    if (!isEndless && name.endsWith('Timeout') && value >= 2 ** 31)
      throw new TypeError(`${name} must be at most 2,147,483,647 ms (24 days)`)
    limits[name] = value
  }
  return limits
}

/** Throws a `RangeError` for a close code or reason that an endpoint may not send. */
// https://datatracker.ietf.org/doc/html/rfc6455#section-7.4
export const checkClose = (code: number, reason: string): void => {
  const isAllowed =
    Number.isInteger(code) && (code === 1000 || code === 1008 || (code >= 3000 && code < 5000))
  if (!isAllowed) throw new RangeError('the close code of a session must be 1000, 1008, or from 3000 to 4999')
  if (new TextEncoder().encode(reason).length > 120)
    throw new RangeError('the close reason must be at most 120 bytes')
}
