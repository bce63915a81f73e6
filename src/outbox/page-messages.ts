import { toBase64 } from '../reliable/frames.js'
import type { Outcome } from '../reliable.js'

/** A message of this page, until it has an outcome. It is also kept in memory, so that it does not depend on the storage. */
export interface PageMessage {
  readonly id: string
  /** When it was sent, as `Date.now()`. */
  readonly time: number
  /** When it expires; `null`: never. */
  readonly expires: number | null
  /** The message as JSON. */
  text: string
  /** Its key in the storage, while it is stored. */
  key?: number | undefined
  /** Whether an earlier page has sent it: its promise was lost with that page. */
  readonly isRestored?: boolean
  /** Whether it was stored in a storage that may have been deleted. */
  wasStored?: boolean
  /** Settles its promise. */
  resolve(outcome: Outcome): void
  /** Stops watching its signal. */
  unwatch(): void
}

export type PageMessages = Map<string, PageMessage>

/** Creates a unique id of letters, digits, `-` and `_`. */
export const createId = (): string =>
  toBase64(crypto.getRandomValues(new Uint8Array(16)))
    .replace(/=/g, '')
    .replace(/\+/g, '-')
    .replace(/\//g, '_')
