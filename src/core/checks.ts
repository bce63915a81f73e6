import { checkNumber, unknownOption } from '../common/checks.js'
import { byteLength, checkData, type Data } from '../common/data.js'
import { createEmitter } from './emitter.js'
import { SocketError } from './errors.js'
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

/** What an option may be: anything, a number, or one of these values or types. */
type Allowed = 'any' | 'number' | readonly unknown[]

const A_FUNCTION = ['a function']

/** All options, by the object that contains them. */
const OPTIONS = {
  createSocket: {
    protocols: 'any',
    binaryType: ['arraybuffer', 'blob'],
    autoConnect: 'any',
    retry: ['a function', false],
    minUptime: 'number',
    connectTimeout: 'number',
    closeTimeout: 'number',
    prepare: A_FUNCTION,
    queue: 'any',
    highWaterMark: 'number',
    heartbeat: 'any',
    handover: 'any',
    wake: 'any',
    signal: 'any',
    WebSocket: 'any',
  },
  queue: {
    maxMessages: 'number',
    maxBytes: 'number',
    overflow: ['reject', 'drop-oldest'],
    keepWhenClosed: 'any',
  },
  heartbeat: { interval: 'number', timeout: 'number', message: 'any', isReply: A_FUNCTION },
  handover: { maxAge: 'number', when: A_FUNCTION, id: A_FUNCTION, wake: ['handover', 'reconnect'] },
  send: { ttl: 'number', key: 'any', volatile: 'any', signal: 'any' },
}

/** Whether an object has a member of its own, and did not inherit it. */
const has = (object: object, name: string) => Object.prototype.propertyIsEnumerable.call(object, name)

/** Throws for an invalid value, and for an option that does not exist, because a misspelt option would be ignored silently. */
const checkOptions = (place: keyof typeof OPTIONS, options: object | false | undefined) => {
  // `true` would mean the defaults, and a heartbeat without a message abandons every connection on which the server is silent.
  if (options && typeof options !== 'object') throw new TypeError(`${place} must be an object`)
  // Without `Object.entries()`, because `send()` creates no objects.
  for (const name in options || undefined) {
    if (!has(options as object, name)) continue
    const value = (options as Record<string, unknown>)[name]
    if (!has(OPTIONS[place], name)) throw unknownOption(place, name, Object.keys(OPTIONS[place]))
    const allowed = (OPTIONS[place] as Record<string, Allowed>)[name] as Allowed
    if (value === undefined || allowed === 'any') continue
    if (allowed === 'number') checkNumber(name, value)
    else if (!allowed.includes(value) && !allowed.includes(`a ${typeof value}`))
      throw new TypeError(`${name} must be ${allowed.join(' or ')}`)
  }
}

/** The part that rejects invalid options and arguments with a `TypeError`, before anything has changed. */
export const checks: Checks = {
  options(options) {
    checkOptions('createSocket', options)
    for (const place of ['queue', 'heartbeat', 'handover'] as const) checkOptions(place, options[place])
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
