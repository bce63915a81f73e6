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

/** The options that are numbers, by the object that contains them. */
const NUMBERS = {
  createSocket: ['minUptime', 'connectTimeout', 'closeTimeout', 'highWaterMark'],
  queue: ['maxMessages', 'maxBytes'],
  heartbeat: ['interval', 'timeout'],
  handover: ['maxAge'],
  send: ['ttl'],
}

/** All other options. */
const OTHERS = {
  createSocket: [
    'protocols',
    'binaryType',
    'autoConnect',
    'retry',
    'prepare',
    'queue',
    'heartbeat',
    'handover',
    'wake',
    'signal',
    'WebSocket',
  ],
  queue: ['overflow', 'keepWhenClosed'],
  heartbeat: ['message', 'isReply'],
  handover: ['when', 'id', 'wake'],
  send: ['key', 'volatile', 'signal'],
}

/** The options that have a fixed set of values. */
const CHOICES: Record<string, Record<string, readonly unknown[]>> = {
  createSocket: { binaryType: ['arraybuffer', 'blob'] },
  handover: { wake: ['handover', 'reconnect'] },
  queue: { overflow: ['reject', 'drop-oldest'] },
}

/** How many letters of one name are missing from the other, or in a different place. This is enough to find the most similar name. */
const difference = (one: string, other: string) =>
  [...one].filter(letter => !other.includes(letter)).length +
  [...one].filter((letter, place) => other[place] !== letter).length +
  Math.abs(one.length - other.length)

/** The error for an option that does not exist, with the name that was probably meant. */
const unknownOption = (place: keyof typeof NUMBERS, name: string) => {
  const [nearest] = [...NUMBERS[place], ...OTHERS[place]].sort(
    (a, b) => difference(name, a) - difference(name, b),
  )
  return new TypeError(`${place} has no option '${name}'. Did you mean '${nearest}'?`)
}

/** Throws for an invalid value, and for an option that does not exist, because a misspelt option would be ignored silently. */
const checkOptions = (place: keyof typeof NUMBERS, options: object | false | undefined) => {
  // `true` would mean the defaults, and a heartbeat without a message abandons every connection on which the server is silent.
  if (options && typeof options !== 'object') throw new TypeError(`${place} must be an object`)
  // Without an array of the names, because this runs for every message with options. Inherited names do not count.
  for (const name in options || undefined) {
    if (!Object.prototype.propertyIsEnumerable.call(options, name)) continue
    const value = (options as Record<string, unknown>)[name]
    const choices = CHOICES[place]?.[name]
    if (NUMBERS[place].includes(name)) {
      if (value !== undefined) checkNumber(name, value)
    } else if (!OTHERS[place].includes(name)) throw unknownOption(place, name)
    else if (value !== undefined && choices?.includes(value) === false) {
      throw new TypeError(`${name} must be ${choices.join(' or ')}`)
    }
  }
}

/** The part that rejects invalid options and arguments with a `TypeError`, before anything has changed. */
export const checks: Checks = {
  options(options) {
    checkOptions('createSocket', options)
    checkOptions('queue', options.queue)
    checkOptions('heartbeat', options.heartbeat)
    checkOptions('handover', options.handover)
  },

  createEmitter,

  send(data, options) {
    checkData(data)
    if (options) checkOptions('send', options)
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
