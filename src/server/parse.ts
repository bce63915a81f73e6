// Parses untrusted JSON.

const MAX_DEPTH = 128

/** Whether an odd number of backslashes precedes this position. */
const isEscaped = (text: string, position: number): boolean => {
  let before = position
  while (text.charCodeAt(before - 1) === 92) before--
  return (position - before) % 2 === 1
}

/** Whether arrays and objects are nested so deeply that a recursive function, such as JSON.stringify, may overflow the stack. */
const isTooDeep = (text: string): boolean => {
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 34) {
      // Most of a frame is strings. The engine's own search skips them many times faster than a walk.
      do {
        i = text.indexOf('"', i + 1)
        if (i < 0) return false
      } while (isEscaped(text, i))
    }
    // [ and { differ only in this bit, and so do ] and }.
    else if ((code | 32) === 123) {
      if (++depth > MAX_DEPTH) return true
    } else if ((code | 32) === 125) depth--
  }
  return false
}

/**
 * Parses the JSON of a client. Throws a `SyntaxError` for text that is not JSON, is nested too deeply, or contains the name
 * `__proto__`. The error does not quote the text, which may contain secrets.
 */
export const parse = (text: string): unknown => {
  if (text.length > MAX_DEPTH && isTooDeep(text))
    throw new SyntaxError(`nested deeper than ${MAX_DEPTH} levels`)
  let isPoisoned = false
  const guard = (key: string, value: unknown) => {
    if (key === '__proto__') isPoisoned = true
    return value
  }
  let value: unknown
  try {
    // The name can be written with escapes, too. All other frames skip this check, which is slow.
    const mayBePoisoned = text.includes('__proto__') || text.includes('\\u')
    value = mayBePoisoned ? JSON.parse(text, guard) : JSON.parse(text)
  } catch {
    throw new SyntaxError('not JSON')
  }
  // An application that merges such an object into another would change its prototype.
  if (isPoisoned) throw new SyntaxError('the name __proto__ is not accepted')
  return value
}
