import { byteLength, checkData, type Data } from './data.js'
import { createEmitter } from './emitter.js'
import { checkNumber, SocketError } from './errors.js'
import type { SendOptions, SocketOptions } from './types.js'

/** The part that rejects invalid arguments before anything has changed. */
export interface Checks {
  options(options: SocketOptions<any>): void
  createEmitter: typeof createEmitter
  send(data: Data, options: SendOptions | undefined): void
  /** Attempts need a constructor of native sockets. */
  connect(WebSocket: unknown): void
  close(code: number | undefined, reason: string | undefined): void
}

/** The names of all options, by the object that contains them. */
const NAMES = {
  createSocket: [
    'protocols',
    'binaryType',
    'autoConnect',
    'retry',
    'minUptime',
    'connectTimeout',
    'closeTimeout',
    'prepare',
    'queue',
    'highWaterMark',
    'heartbeat',
    'wake',
    'signal',
    'WebSocket',
  ],
  queue: ['maxMessages', 'maxBytes', 'overflow', 'keepWhenClosed'],
  heartbeat: ['interval', 'timeout', 'message', 'isReply'],
  send: ['ttl', 'key', 'volatile', 'signal'],
}

/** The number of letters of one word that are missing in the other. This suffices to find the intended name. */
const difference = (one: string, other: string) =>
  [...one].filter(letter => !other.includes(letter)).length + Math.abs(one.length - other.length)

/** Throws for an option that does not exist, because a misspelt option would be ignored silently. */
const checkNames = (place: keyof typeof NAMES, options: object | false | undefined) => {
  const names = NAMES[place]
  for (const name in options || {}) {
    if (names.includes(name)) continue
    const [nearest] = [...names].sort((a, b) => difference(name, a) - difference(name, b))
    throw new TypeError(`${place} has no option '${name}'. Did you mean '${nearest}'?`)
  }
}

/** The options that are numbers, and those that have a fixed set of values. */
const NUMBERS = [
  'minUptime',
  'connectTimeout',
  'closeTimeout',
  'highWaterMark',
  'maxMessages',
  'maxBytes',
  'interval',
  'timeout',
]
const CHOICES: Record<string, readonly unknown[]> = {
  binaryType: ['arraybuffer', 'blob'],
  overflow: ['reject', 'drop-oldest'],
}

/** The part that rejects invalid options and arguments with a `TypeError`, before anything has changed. */
export const checks: Checks = {
  options(options) {
    const { queue, heartbeat } = options
    checkNames('createSocket', options)
    checkNames('queue', queue)
    checkNames('heartbeat', heartbeat)
    for (const [name, value] of Object.entries({ ...options, ...queue, ...heartbeat })) {
      if (value === undefined) continue
      if (NUMBERS.includes(name)) checkNumber(name, value)
      else if (CHOICES[name]?.includes(value) === false) {
        throw new TypeError(`${name} must be ${CHOICES[name].join(' or ')}`)
      }
    }
  },

  createEmitter,

  send(data, options) {
    checkData(data)
    if (!options) return
    checkNames('send', options)
    if (options.ttl !== undefined) checkNumber('ttl', options.ttl)
  },

  connect(WebSocket = globalThis.WebSocket) {
    if (!WebSocket) {
      throw new SocketError('NO_WEBSOCKET', undefined, undefined, 'pass one as options.WebSocket')
    }
  },

  close(code, reason) {
    // The platform's own rules, checked before the state changes rather than half-way through.
    // https://websockets.spec.whatwg.org/#dom-websocket-close
    if (code !== undefined && code !== 1000 && !(code >= 3000 && code < 5000)) {
      throw new DOMException('code must be 1000 or from 3000 to 4999', 'InvalidAccessError')
    }
    if (byteLength(`${reason ?? ''}`) > 123) {
      throw new DOMException('reason must be at most 123 bytes', 'SyntaxError')
    }
  },
}
