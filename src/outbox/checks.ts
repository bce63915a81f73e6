import { unknownOption } from '../common/checks.js'
import type { IndexedDbOutboxOptions, OutboxStorage } from './types.js'

/** Throws a `TypeError` for an option that does not exist, with the name that was probably meant. */
export const checkNames = (place: string, options: object, names: readonly string[]): void => {
  for (const name in options) {
    if (!names.includes(name)) throw unknownOption(place, name, names)
  }
}

/** Throws a `TypeError` unless this is a storage. */
export const checkStorage = (storage: OutboxStorage | undefined): void => {
  const methods = ['open', 'add', 'list', 'remove', 'clear'] as const
  if (typeof storage?.name !== 'string' || methods.some(method => typeof storage[method] !== 'function'))
    throw new TypeError('createOutbox needs an OutboxStorage, with all its members')
}

/** Throws a `TypeError` for an invalid option. */
export const checkOptions = (
  place: string,
  options: IndexedDbOutboxOptions,
  more: readonly string[] = [],
): void => {
  checkNames(place, options, ['maxMessages', 'maxBytes', 'encode', 'decode', ...more])
  const { maxMessages = 1, maxBytes = 1, encode, decode } = options
  if (!(maxMessages > 0 && maxBytes > 0))
    throw new TypeError('maxMessages and maxBytes must be numbers above 0')
  for (const code of [encode, decode]) {
    if (code !== undefined && typeof code !== 'function')
      throw new TypeError('encode and decode must be functions')
  }
  if (!encode !== !decode) throw new TypeError('encode and decode belong together: pass both, or neither')
}
