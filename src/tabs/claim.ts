/** The number of ids that are remembered. */
const MAX_IDS = 1_000

/** A database can fail to answer at all. */
// https://bugs.webkit.org/show_bug.cgi?id=226547
const TIMEOUT = 5_000

/** The ids that this page has claimed without a database. */
const own = new Map<string, Set<string>>()

/** Adds an id to those of this page. Returns false if it was there already. */
const addHere = (name: string, id: string): boolean => {
  const ids = own.get(name) ?? new Set()
  if (ids.has(id)) return false
  own.set(name, ids.add(id))
  if (ids.size > MAX_IDS) ids.delete(ids.values().next().value as string)
  return true
}

/** Deletes the oldest id if there are too many. */
const forgetOldest = (ids: IDBObjectStore) => {
  const counting = ids.count()
  counting.onsuccess = () => {
    if (counting.result <= MAX_IDS) return
    const oldest = ids.index('time').openKeyCursor()
    oldest.onsuccess = () => oldest.result && ids.delete(oldest.result.primaryKey)
  }
}

/**
 * Adds an id to those of all tabs. The database adds a key only once, even if two tabs do so at the same time. `localStorage` with a Web Lock did
 * not: in Chromium, a tab in another process read an old value.
 */
// https://w3c.github.io/IndexedDB/#object-store-storage-operation
const add = (name: string, id: string) =>
  new Promise<boolean>((resolve, reject) => {
    setTimeout(reject, TIMEOUT)
    const opening = indexedDB.open(`${name} claims`)
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore('ids', { keyPath: 'id' }).createIndex('time', 'time')
    }
    opening.onerror = reject
    opening.onsuccess = () => {
      const database = opening.result
      let isFirst = true
      try {
        const change = database.transaction('ids', 'readwrite')
        const ids = change.objectStore('ids')
        const adding = ids.add({ id, time: Date.now() })
        adding.onsuccess = () => forgetOldest(ids)
        adding.onerror = event => {
          if (adding.error?.name !== 'ConstraintError') return
          event.preventDefault()
          isFirst = false
        }
        change.oncomplete = () => resolve(isFirst)
        change.onabort = reject
      } catch (error) {
        reject(error)
      }
      // Once the transaction has ended.
      database.close()
    }
  })

/** Whether this is the first claim of the id, in all tabs. */
export const claim = async (name: string, id: string): Promise<boolean> => {
  if (typeof id !== 'string') throw new TypeError('The id of claim() must be a string')
  return add(name, id).catch(() => addHere(name, id))
}
