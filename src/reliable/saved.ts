// What a page saves for the next one.
import type { SavedOutgoing } from './outgoing.js'
import type { SessionKey } from './session.js'

/** The contents of the text that `save()` returns. */
export interface Saved extends SavedOutgoing {
  readonly session?: SessionKey
  readonly last?: number
  /** What the outbox has saved. */
  readonly outbox?: unknown
}

/** Reads the option `saved`. Throws a `TypeError` for a text that `save()` did not return. */
export const parseSaved = (text: string | null | undefined): Saved => {
  try {
    return { ...JSON.parse(text ?? '{}') }
  } catch {
    throw new TypeError('saved must be the text that save() returned')
  }
}
