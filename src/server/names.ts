// Misspelt options, which would be ignored silently.

/** How many letters of one name are missing in the other, or in another place there. */
const difference = (one: string, other: string): number =>
  [...one].filter(letter => !other.includes(letter)).length +
  [...one].filter((letter, place) => other[place] !== letter).length +
  Math.abs(one.length - other.length)

/** Throws a `TypeError` for an option that does not exist, with the name that was probably meant, or with all names. */
export const checkOptionNames = (place: string, options: object, names: readonly string[]): void => {
  if (typeof options !== 'object' || options === null) throw new TypeError(`${place} must be an object`)
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue
    const [nearest = ''] = [...names].sort((a, b) => difference(name, a) - difference(name, b))
    const isNear = difference(name, nearest) <= name.length
    const hint = isNear ? `Did you mean '${nearest}'?` : `It has ${names.join(', ')}.`
    throw new TypeError(`${place} has no option '${name}'. ${hint}`)
  }
}

/** Throws a `TypeError` for a number of sessions that is not one. */
export const checkMaxSessions = (place: string, maxSessions: unknown): void => {
  if (maxSessions === undefined || maxSessions === Infinity) return
  if (!Number.isSafeInteger(maxSessions) || (maxSessions as number) < 1)
    throw new TypeError(`${place}: maxSessions must be an integer >= 1`)
}
