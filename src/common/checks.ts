/** How many letters of one name are missing from the other, or in a different place. This is enough to find the most similar name. */
const difference = (one: string, other: string) =>
  [...one].filter(letter => !other.includes(letter)).length +
  [...one].filter((letter, place) => other[place] !== letter).length +
  Math.abs(one.length - other.length)

/** The error for an option that does not exist, with the name that was probably meant, or with all names. */
export const unknownOption = (place: string, name: string, names: readonly string[]): TypeError => {
  const [nearest = ''] = [...names].sort((a, b) => difference(name, a) - difference(name, b))
  const hint =
    difference(name, nearest) <= name.length ? `Did you mean '${nearest}'?` : `It has ${names.join(', ')}.`
  return new TypeError(`${place} has no option '${name}'. ${hint}`)
}

/** Throws a `TypeError` if any options are left that do not exist: a misspelt one would be ignored silently. */
export const rejectUnknown = (place: string, unknown: object, names: string): void => {
  for (const name in unknown) throw new TypeError(`${place} has no option '${name}', only ${names}`)
}

/** Throws a `TypeError` unless the value is a duration, a size or a count. */
export const checkNumber = (name: string, value: unknown): void => {
  if (!(typeof value === 'number' && value >= 0)) throw new TypeError(`${name} must be a number, at least 0`)
}
