import type { Tab } from './hub.js'
import type { Kept } from './protocol.js'

/** The maximum number of tabs that are remembered after they have left. */
const MAX_AWAY = 200

/** The last messages, for tabs that were away. A message can be on its way to a tab when that tab leaves, so they are always kept. */
export const createReplay = (): {
  /** Returns the number of the message. */
  add(type: Kept['type'], data: any): number
  /** The tab has left, and may come back. */
  leave(tab: Tab): void
  /** A tab that has left. */
  tab(id: string): Tab | undefined
  /** The messages after this number, and how many before them are missing. Without a number, there are none, and `missed` is unknown. */
  since(id: string, number: number | undefined): { number: number; missed: number | undefined; kept: Kept[] }
  setLimits(limits: { maxMessages?: number; maxBytes?: number } | undefined): void
  clear(): void
} => {
  const away = new Map<string, Tab>()
  let kept: Kept[] = []
  let bytes = 0
  let number = 0
  let maxMessages = 256
  let maxBytes = 2 ** 20
  const sizeOf = ({ data }: Kept) => data.length ?? data.byteLength ?? data.size
  return {
    add(type, data) {
      number++
      kept.push({ type, data, number })
      bytes += sizeOf(kept[kept.length - 1] as Kept)
      while (kept.length > maxMessages || bytes > maxBytes) bytes -= sizeOf(kept.shift() as Kept)
      return number
    },
    leave(tab) {
      away.set(tab.id, tab)
      // It may never come back.
      if (away.size > MAX_AWAY) away.delete(away.keys().next().value as string)
    },
    tab: id => away.get(id),
    since(id, last) {
      const missing = kept.filter(message => message.number > (last ?? number))
      away.delete(id)
      return { number, missed: last === undefined ? last : number - last - missing.length, kept: missing }
    },
    setLimits(limits = {}) {
      maxMessages = limits.maxMessages ?? maxMessages
      maxBytes = limits.maxBytes ?? maxBytes
    },
    clear() {
      away.clear()
      kept = []
      bytes = 0
    },
  }
}
