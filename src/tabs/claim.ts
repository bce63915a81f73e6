/** The number of ids that are remembered. */
const MAX_IDS = 1_000

/** The ids that this page could not store. */
const own = new Map<string, string[]>()

/** Adds an id to those of this name. Returns false if it was there already. */
const add = (name: string, id: string): boolean => {
  const key = `${name} claims`
  let ids = own.get(name) ?? []
  try {
    ids = [...JSON.parse(localStorage.getItem(key) ?? '[]'), ...ids]
  } catch {
    // Storage is denied, or contains something else.
  }
  if (ids.includes(id)) return false
  ids = [...ids.slice(1 - MAX_IDS), id]
  try {
    localStorage.setItem(key, JSON.stringify(ids))
  } catch {
    // Storage is denied, or full.
    own.set(name, ids)
  }
  return true
}

/** Whether this is the first claim of the id, in all tabs. */
export const claim = async (name: string, id: string): Promise<boolean> => {
  if (typeof id !== 'string') throw new TypeError('The id of claim() must be a string')
  // Without the lock, two tabs could read at the same time.
  // The browser can deny it, for example to a page with an opaque origin.
  return globalThis.navigator?.locks
    ? navigator.locks.request(`${name} claims`, () => add(name, id)).catch(() => add(name, id))
    : add(name, id)
}
