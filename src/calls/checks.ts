/** Throws a `TypeError` for an option that does not exist, because a misspelt one would be ignored, and for an invalid number. */
export const checkOptions = (options: object, names: readonly string[]): void => {
  for (const [name, value] of Object.entries(options)) {
    if (!names.includes(name)) throw new TypeError(`There is no option '${name}', only ${names.join(', ')}`)
    if (name === 'timeout' || name.startsWith('max')) {
      // Not `value < 0`: of text, nothing is less than 0.
      if (value !== undefined && !(value >= 0)) throw new TypeError(`${name} must be a number, at least 0`)
    }
  }
}
