// Logs of a limited length, and the schedule of the numbered streams.

/** The time between two messages of a numbered stream, in milliseconds. */
export const period = 50

/** The names of the logs, and the number of entries that each keeps. An entry is a Buffer or a JSON value. */
export const logs = {
  notifications: 30,
  seen: 500,
  pictures: 1,
  /** The strokes of the drawing that new visitors receive. */
  strokes: 4_000,
  cursors: 50,
  ticks: 10,
  nodes: 50,
}

/** A node's copy of a log. A listener receives the kept entries, and then each new one. */
export const createLog = size => {
  const entries = []
  const listeners = new Set()
  return {
    entries,
    add(entry) {
      entries.push(entry)
      if (entries.length > size) entries.shift()
      for (const listener of listeners) listener(entry)
    },
    /** Returns a function that removes the listener. */
    subscribe(listener) {
      entries.forEach(entry => {
        listener(entry)
      })
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

/** The number of messages that are due by the clock, whether or not clients were connected. */
export const dueSince = since => Math.floor((Date.now() - since) / period)
