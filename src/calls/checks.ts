import { checkNumber, unknownOption } from '../common/checks.js'

const AGAIN: readonly unknown[] = ['never', 'unsent', 'always']

/** Throws a `TypeError` for an option that does not exist, because a misspelt one would be ignored, and for an invalid value. */
export const checkOptions = (place: string, options: object, names: readonly string[]): void => {
  for (const [name, value] of Object.entries(options)) {
    if (!names.includes(name)) throw unknownOption(place, name, names)
    if (value === undefined) continue
    if (name === 'timeout' || name.startsWith('max')) checkNumber(name, value)
    if (name === 'event' && (typeof value !== 'string' || !value))
      throw new TypeError('event must be a text that is not empty')
    if (name === 'again' && !AGAIN.includes(value)) throw new TypeError(`again must be one of ${AGAIN}`)
  }
}

/** Throws a `TypeError` for a listener or handler that is no function. */
export const checkFunction = (name: string, value: unknown): void => {
  if (typeof value !== 'function')
    throw new TypeError(`The listener or handler of '${name}' must be a function`)
}
