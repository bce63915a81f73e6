// What every world keeps: logs of a bounded length, and the pace of the numbered streams.

/** The time between two messages of a numbered stream, in milliseconds. */
export const period = 50

/** The logs of a world, and how many of its newest entries each keeps. An entry is bytes (a Buffer) or what JSON can say. */
export const logs = {
  notifications: 30,
  seen: 500,
  pictures: 1,
  /** What a visitor who comes later is shown of the drawing. */
  strokes: 4_000,
  cursors: 50,
  ticks: 10,
  nodes: 50,
}

/** A log as a node has it: it is told what is kept, and then each entry as it comes. */
export const createLog = size => {
  const entries = []
  const listeners = new Set()
  return {
    entries,
    take(entry) {
      entries.push(entry)
      if (entries.length > size) entries.shift()
      for (const listener of listeners) listener(entry)
    },
    /** Returns its undo. */
    hear(listener) {
      entries.forEach(entry => {
        listener(entry)
      })
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

/** Numbers follow the clock: so many should have been sent by now, whether somebody was there to hear them or not. */
export const dueSince = since => Math.floor((Date.now() - since) / period)
