// Reads the notifications that a node receives from Redis about its sessions.
import type { StoreEvent } from './store.js'

/** The number of shared frames that a node keeps for the notices that follow. */
const FRAMES = 64

/**
 * Reads notices. A notice about messages is `FRAME_NAME ID NUMBER ID NUMBER …`, and in the next line the frame, unless
 * the node already knows it by its name. All others are JSON.
 */
export const createNoticeReader = (
  onEvent: (event: StoreEvent) => void,
  onCheck: () => void,
): { read(text: string): void; forget(): void } => {
  const frames = new Map<string, string>()

  const frameOf = (name: string, text: string | undefined): string | undefined => {
    if (text === undefined) return frames.get(name)
    if (name === '-') return text
    frames.set(name, text)
    for (const oldest of frames.keys()) {
      if (frames.size <= FRAMES) break
      frames.delete(oldest)
    }
    return text
  }

  const read = (text: string): void => {
    if (text.startsWith('{')) {
      const event = JSON.parse(text) as StoreEvent | { readonly kind: 'check' }
      if (event.kind === 'check') onCheck()
      else onEvent(event)
      return
    }
    const end = text.indexOf('\n')
    const [name = '', ...list] = (end < 0 ? text : text.slice(0, end)).split(' ')
    const frame = frameOf(name, end < 0 ? undefined : text.slice(end + 1))
    for (let i = 0; i < list.length; i += 2) {
      const session = list[i] as string
      const message = frame === undefined ? undefined : { sequenceId: Number(list[i + 1]), frame }
      onEvent({ kind: 'messages', session, message })
    }
  }

  // Another Redis may use the same names for other frames.
  return { read, forget: () => frames.clear() }
}
