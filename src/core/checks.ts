import { byteLength, checkData, type Data } from './data.js'
import type { SendOptions, SocketOptions } from './types.js'

/** The part that rejects invalid arguments before anything has changed. */
export interface Checks {
  options(options: SocketOptions<any>): void
  send(data: Data, options: SendOptions | undefined): void
  close(code: number | undefined, reason: string | undefined): void
}

/** The options that are numbers, and those that are one of several words. */
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

/** Throws unless the value is a duration, a size or a count. */
const checkNumber = (name: string, value: unknown): void => {
  if (!(typeof value === 'number' && value >= 0))
    throw new TypeError(`${name} must be a number that is at least 0`)
}

/** The part that rejects invalid options and arguments with a `TypeError`, before anything has changed. */
export const checks: Checks = {
  options(options) {
    const { queue, heartbeat } = options
    for (const [name, value] of Object.entries({ ...options, ...queue, ...heartbeat })) {
      if (value === undefined) continue
      if (NUMBERS.includes(name)) checkNumber(name, value)
      else if (CHOICES[name]?.includes(value) === false) {
        throw new TypeError(`${name} must be ${CHOICES[name].map(choice => `'${choice}'`).join(' or ')}`)
      }
    }
  },

  send(data, options) {
    checkData(data)
    if (options?.ttl !== undefined) checkNumber('ttl', options.ttl)
  },

  close(code, reason) {
    // The platform's own rules, checked before the state changes rather than half-way through.
    // https://websockets.spec.whatwg.org/#dom-websocket-close
    if (code !== undefined && code !== 1000 && !(code >= 3000 && code < 5000)) {
      throw new DOMException('close() needs the code 1000, or one from 3000 to 4999', 'InvalidAccessError')
    }
    if (byteLength(`${reason ?? ''}`) > 123) {
      throw new DOMException('close() needs a reason of at most 123 bytes', 'SyntaxError')
    }
  },
}
