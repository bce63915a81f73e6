import { type Data, SocketError, type SocketErrorCode } from '../index.js'

/** The options that the hub uses, in a form that can be cloned: functions stay in the tab, and are replaced by true. */
export type Config = Record<string, unknown>

/** From a tab to the hub. */
export type TabMessage =
  /** `last`: if this tab was away, the position of the last message that it received. */
  | { type: 'join'; config: Config; last: Position | undefined; hasBeenOpen: boolean }
  | { type: 'leave' }
  | ({ type: 'send' } & Entry)
  /** Removes a message that has not been sent. */
  | { type: 'cancel'; id: number; reason: string }
  /** The tab knows that this connection is open. Only then does the hub send the tab's messages. */
  | { type: 'ready'; connection: number }
  /** The answer to `ask`. */
  | { type: 'answer'; id: number; value?: unknown; error?: string }
  /** A call of `prepare`: `send()`, or `receive()` with the id of the reply. */
  | { type: 'prepare'; id: number; data?: Data; reply?: number }
  | { type: 'call'; id: number; method: 'connect' | 'reconnect' | 'handover' | 'signOut'; args: unknown[] }

/** A message that a tab sends to the server. */
export interface Entry {
  readonly id: number
  readonly data: Data
  /** Drop it after this time, in milliseconds since 1970. */
  readonly expires?: number | undefined
  readonly volatile?: true | undefined
}

/** The number of a message from the server, for the hub of this epoch. */
export interface Position {
  readonly epoch: string
  readonly number: number
}

/** A message from the server that is kept for tabs that are away. */
export interface Kept {
  readonly type: 'text' | 'binary'
  readonly data: any
  readonly number: number
}

/** What the tabs know about the hub's socket. */
export interface Snapshot {
  readonly state: any
  readonly url: string
  readonly protocol: string
  readonly latency: number | undefined
  readonly attempts: number
  readonly connections: number
  /** The first frame of a reliable session on this connection. */
  readonly greeting?: string | undefined
}

/** From the hub to a tab, or to all. */
export type HubMessage =
  /** There is a new hub. */
  | { type: 'hello' }
  | {
      type: 'welcome'
      holder: string
      snapshot: Snapshot
      connection: number
      /** The id of the last message of this tab that was sent to the server. */
      sent: number
      number: number
      /** Undefined if the hub does not know what this tab has received and sent. */
      missed: number | undefined
      kept: Kept[]
      conflict: string[]
    }
  | { type: 'sharing'; tabs: number }
  | { type: 'event'; event: string; payload: any; snapshot: Snapshot; connection: number }
  | ({ type: 'message'; event: 'text' | 'binary' } & Omit<Kept, 'type'>)
  | { type: 'sent'; id: number }
  /** `data`: the data of a volatile message, which the tab does not keep. */
  | { type: 'dropped'; id: number; reason: string; data?: Data | undefined }
  | { type: 'ask'; id: number; what: string; context: any }
  /** A connection of a reliable session has ended: each tab calls its `retry`, which detects whether the session is lost. */
  | { type: 'retry'; context: any }
  /** The attempt for which the tab has run a function, or the connection that resulted from it, has ended. */
  | { type: 'abort'; id: number }
  | { type: 'reply'; id: number; value?: unknown; error?: unknown }
  /** The hub ends. All messages that it has not reported as sent were not sent. `orphans`: those of tabs that no longer exist. */
  | { type: 'bye'; orphans: Entry[] }
  /** All sockets are closed, including those of tabs of other versions. */
  | { type: 'signOut'; code: number | undefined; reason: string | undefined }

/** Increase this with each change to these messages. Tabs and hubs of different versions do not share a connection. */
const VERSION = 1

/** The receiver of messages to the hub. */
export const HUB: string = `hub ${VERSION}`

/** The receiver of messages to all tabs. */
export const TABS: string = `tabs ${VERSION}`

/** The prefix of the ids of tabs. */
export const TAB: string = `tab ${VERSION} `

/** Each message has a sender and a receiver: the id of a tab, `HUB`, `TABS`, or `'*'` for all hubs and tabs of all versions. */
export type Envelope<Message> = Message & { from: string; to: string }

/** The prefix of the names of all channels and locks of a connection. */
export const nameOf = (key: string, user: string): string => `steadysocket ${JSON.stringify([key, user])}`

/** Converts a value that may not be cloneable to one that is. A clone of an error would lose its class and its code. */
const cloneable = (value: unknown): unknown => {
  if (value instanceof SocketError) {
    const { code, cause, close, message } = value
    return { steady: code, cause: cloneable(cause), close, detail: message.slice(code.length + 2) }
  }
  return value instanceof Error ? new Error(`${value.name}: ${value.message}`) : postable(value)
}

/** Converts objects and symbols, which may not be cloneable, to text. Returns other values unchanged. */
export const postable = (value: unknown): unknown => {
  if (value !== Object(value) && typeof value !== 'symbol') return value
  try {
    return String(value)
  } catch {
    // For example, an object without a prototype cannot be converted.
    return typeof value
  }
}

/** The payload of an event with all its errors, so that it can be cloned. */
export const encode = (payload: any): any => {
  if (payload instanceof SocketError) return cloneable(payload)
  return payload?.cause ? { ...payload, cause: cloneable(payload.cause) } : payload
}

export const decode = (payload: any): any => {
  const { steady, cause, close, detail } = payload ?? {}
  if (steady) return new SocketError(steady as SocketErrorCode, decode(cause), close, detail)
  return cause ? { ...payload, cause: decode(cause) } : payload
}
