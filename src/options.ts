import type { SocketOptions } from './api.js'
import type { HeartbeatOptions } from './heartbeat.js'

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
  minUptime: 5_000,
  connectTimeout: 10_000,
  closeTimeout: 3_000,
  highWaterMark: 2 ** 20,
  maxMessages: Infinity,
  maxBytes: 2 ** 24,
  interval: 25_000,
  timeout: 10_000,
  binaryType: 'arraybuffer',
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
