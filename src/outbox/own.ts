import { toBase64 } from '../reliable/frames.js'
import type { Outcome } from '../reliable.js'

/** A message of this page, until it has an outcome. It is kept in memory, too, so that it does not depend on the storage. */
export interface OwnMessage {
  readonly id: string
  /** When it was sent, as `Date.now()`. */
  readonly time: number
  /** When it expires; `null`: never. */
  readonly expires: number | null
  /** Its JSON. */
  text: string
  /** Its key in the storage, while it is there. */
  key?: number | undefined
  /** Whether it was in a storage that may be gone. */
  wasStored?: boolean
  /** Settles its promise. */
  resolve(outcome: Outcome): void
  /** Stops watching its signal. */
  unwatch(): void
}

export type OwnMessages = Map<string, OwnMessage>

/** An id that no other message has, of letters, digits, `-` and `_`. */
export const createId = (): string =>
  toBase64(crypto.getRandomValues(new Uint8Array(16)))
    .replace(/=/g, '')
    .replace(/\+/g, '-')
    .replace(/\//g, '_')
