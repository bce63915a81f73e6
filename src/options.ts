import type { SocketOptions } from './api.js'
import type { HeartbeatOptions } from './heartbeat.js'
import type { QueueOptions } from './queue.js'

type Limit =
  | 'minUptime'
  | 'connectTimeout'
  | 'closeTimeout'
  | 'highWaterMark'
  | 'maxMessages'
  | 'maxBytes'
  | 'interval'
  | 'timeout'

/** Every option that is a number, with its default. */
const NUMBERS: Record<Limit, number> = {
  minUptime: 5_000,
  connectTimeout: 10_000,
  closeTimeout: 3_000,
  highWaterMark: 2 ** 20,
  maxMessages: Infinity,
  maxBytes: 2 ** 24,
  interval: 25_000,
  timeout: 10_000,
}

/** All options in one place, those of `queue` and `heartbeat` too, with their defaults. */
export type Settings<Binary extends BinaryType> = SocketOptions<Binary> &
  QueueOptions &
  HeartbeatOptions &
  Record<Limit, number> & { binaryType: BinaryType }

/** Throws for a value that makes no sense, before anything else happens. */
export const settle = <Binary extends BinaryType>(options: SocketOptions<Binary>): Settings<Binary> => {
  const settings: Record<string, unknown> = {
    ...options,
    ...options.queue,
    ...options.heartbeat,
  }
  for (const [name, byDefault] of Object.entries(NUMBERS)) {
    const { [name]: value = byDefault } = settings
    if (!(typeof value === 'number' && value >= 0)) throw new TypeError(`${name} takes a number from 0 up`)
    settings[name] = value
  }
  const { binaryType = 'arraybuffer', overflow = 'reject' } = settings
  if (!/^(arraybuffer|blob) (reject|drop-oldest)$/.test(`${binaryType} ${overflow}`)) {
    throw new TypeError(`no such binaryType or overflow: ${binaryType}, ${overflow}`)
  }
  // Each field has its default now.
  return { ...settings, binaryType } as Settings<Binary>
}
