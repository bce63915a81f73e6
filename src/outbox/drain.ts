import type { Sender } from './sender.js'
import type { Store } from './store.js'
import type { OutboxRecord } from './types.js'

/** How many messages are read at a time. */
const PAGE = 64

/** The period in which this tab sends the stored messages, in order. */
export interface Drain {
  /** Sends as many messages as there is room for. */
  pump(): void
  /** Starts again with the first message, because the storage may have been deleted and created again. */
  restart(): void
}

/** `send` sends a message, or skips it. `onEnd` is called when all stored messages have been passed to `send`. */
export const createDrain = (
  signal: AbortSignal,
  store: Store,
  sender: Sender,
  send: (record: OutboxRecord, signal: AbortSignal) => Promise<void>,
  onEnd: () => void,
): Drain => {
  let records: OutboxRecord[] = []
  let cursor = 0
  let isRunning = false
  let isAgain = false

  const pump = async () => {
    isAgain = true
    if (isRunning) return
    isRunning = true
    while (!signal.aborted && sender.hasRoom && (records.length || isAgain)) {
      const record = records.shift()
      if (record) {
        cursor = record.key
        await send(record, signal)
      } else {
        isAgain = false
        const from = cursor
        const found = await store.list(from, PAGE)
        // Otherwise, the turn was restarted in the meantime.
        if (found && cursor === from) records = [...found]
        if (records.length) isAgain = true
        else onEnd()
      }
    }
    isRunning = false
  }

  return {
    pump,
    restart() {
      records = []
      cursor = 0
      pump()
    },
  }
}
