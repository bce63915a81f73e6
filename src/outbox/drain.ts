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

export interface DrainOwner {
  readonly hasRoom: boolean
  list(after: number, limit: number): Promise<readonly OutboxRecord[] | undefined>
  /** Sends a message, or skips it. */
  send(record: OutboxRecord, signal: AbortSignal): Promise<void>
  /** All stored messages have been passed to the sender. */
  onEnd(): void
}

export const createDrain = (signal: AbortSignal, owner: DrainOwner): Drain => {
  let records: OutboxRecord[] = []
  let cursor = 0
  let isRunning = false
  let isAgain = false

  const fill = async () => {
    while (!signal.aborted && owner.hasRoom) {
      if (!records.length) {
        isAgain = false
        const from = cursor
        const found = (await owner.list(from, PAGE)) ?? []
        // The turn was restarted in the meantime.
        if (cursor !== from) continue
        records = [...found]
      }
      const record = records.shift()
      if (!record) return owner.onEnd()
      cursor = record.key
      if (!signal.aborted) await owner.send(record, signal)
    }
  }

  const pump = async () => {
    isAgain = true
    if (isRunning) return
    isRunning = true
    while (isAgain && !signal.aborted && owner.hasRoom) await fill()
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
