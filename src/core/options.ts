import type { HeartbeatOptions } from './heartbeat.js'
import type { SocketOptions } from './types.js'

/** Every option with limits to what it can be. */
type Limited = Record<
  | 'minUptime'
  | 'connectTimeout'
  | 'closeTimeout'
  | 'highWaterMark'
  | 'maxMessages'
  | 'maxBytes'
  | 'interval'
  | 'timeout',
  number
> & { binaryType: BinaryType; overflow: 'reject' | 'drop-oldest' }

const DEFAULTS: Limited = {
  // A server that takes connections only to drop them does so within seconds, and must not be met as if all were well.
  minUptime: 5_000,
  // Chromium holds attempts back for up to 5 s after many failures: a shorter limit ends some that have not begun.
  // https://source.chromium.org/chromium/chromium/src/+/main:services/network/websocket_throttler.cc
  connectTimeout: 10_000,
  // A peer that is there answers in a round trip. For one that is not, browsers would wait for 22 to 60 s.
  closeTimeout: 3_000,
  // Fills a line of 400 Mbit/s at a round trip of 20 ms. What the browser has is what a break can take with it.
  highWaterMark: 2 ** 20,
  // Bytes are what memory runs out of.
  maxMessages: Infinity,
  // Most of a day of two messages a second, of a hundred bytes each, and no danger to a phone.
  maxBytes: 2 ** 24,
  // Proxies cut what is silent, most of them after 60 s: there is time for a second question.
  // https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_read_timeout
  interval: 25_000,
  // Many round trips of a bad mobile line. With the interval, 35 s until a dead connection is noticed; socket.io takes 45.
  timeout: 10_000,
  // A Blob can only be read asynchronously, and what is read so can overtake.
  binaryType: 'arraybuffer',
  // Whoever sends one too many hears of it from send() itself; of what is old and dropped, only from an event.
  overflow: 'reject',
}

const CHOICES = /^(binaryType (arraybuffer|blob)|overflow (reject|drop-oldest))$/

/** Throws for what is not a duration, a size or a number of things. */
export const checkNumber = (name: string, value: unknown): void => {
  if (!(typeof value === 'number' && value >= 0)) throw new TypeError(`${name} takes a number from 0 up`)
}

/** All options in one place, those of `queue` and `heartbeat` too, with their defaults. */
export type Settings<Binary extends BinaryType> = Omit<SocketOptions<Binary>, keyof Limited> &
  Omit<HeartbeatOptions, keyof Limited> &
  Limited

/** Throws for a value that makes no sense, before anything else happens. */
export const settle = <Binary extends BinaryType>(options: SocketOptions<Binary>): Settings<Binary> => {
  const settings: Record<string, unknown> = { ...options, ...options.queue, ...options.heartbeat }
  for (const [name, byDefault] of Object.entries(DEFAULTS)) {
    const { [name]: value = byDefault } = settings
    if (typeof byDefault === 'number') checkNumber(name, value)
    else if (!CHOICES.test(`${name} ${value}`)) throw new TypeError(`${name} cannot be ${value}`)
    settings[name] = value
  }
  // Each field has its default now.
  return settings as unknown as Settings<Binary>
}
