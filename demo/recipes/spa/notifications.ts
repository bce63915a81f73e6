// The code that all apps share: the messages of the demo's server, and how they change the inbox.
import type { Outage, SocketOptions } from 'steadysocket'
import { config, z } from 'zod'

config({ jitless: true }) // A strict Content-Security-Policy forbids new Function().

export const FEED: string = `${location.origin.replace('http', 'ws')}/feed`
export const OPTIONS: SocketOptions = {
  heartbeat: { message: 'ping', isReply: data => data === 'pong' },
}
/** The sender of this page's messages. Different for each page. */
export const ME: string = `Guest_${Math.random().toString(36).slice(2, 8)}`

const Notification = z.object({
  kind: z.literal('notification'),
  id: z.string(),
  at: z.number(),
  title: z.string(),
  body: z.string(),
  from: z.string().optional(),
  n: z.number().optional(),
})
const Picture = z.object({ kind: z.literal('picture'), url: z.string() })
/** Messages of other kinds are for the large demo. */
export const Message = z.union([Notification, Picture, z.object({ kind: z.string() })])

/** Text is JSON. A binary message is a picture. */
export const codec = {
  encode: JSON.stringify as (value: unknown) => string,
  decode: (data: ArrayBuffer) => ({ kind: 'picture', url: URL.createObjectURL(new Blob([data])) }),
}

/** An item of the list. `n`: the number of our own message, until the server has sent it back. */
export interface Row {
  readonly id: string
  readonly n?: number
  readonly title: string
  readonly body: string
  /** The time, or the status of our message. */
  readonly note: string
}

/** `count`: the number of all notifications, for the bell. `arrived`: the number of our last message that the server has sent to everyone. */
export const EMPTY = { rows: [] as readonly Row[], count: 0, arrived: 0, picture: '' }
export type Inbox = typeof EMPTY

/** Adds a message to the inbox. After a reconnection, the server sends earlier messages again. */
export const add = (inbox: Inbox, message: z.infer<typeof Message>): Inbox => {
  if ('url' in message) {
    URL.revokeObjectURL(inbox.picture)
    return { ...inbox, picture: message.url }
  }
  if (!('id' in message) || inbox.rows.some(({ id }) => id === message.id)) return inbox
  const { id, at, title, body, from, n = 0 } = message
  const isOwn = from === ME
  const note = new Date(at).toLocaleTimeString([], { timeStyle: 'short' })
  const rows = [{ id, title: isOwn ? 'You' : title, body, note }, ...inbox.rows].slice(0, 30)
  return { ...inbox, rows, count: inbox.count + 1, arrived: isOwn ? n : inbox.arrived }
}

/** A message for everyone, and its row: `fate` is what `send()` returned. */
export const write = (n: number, text: string) => ({ type: 'push', n, text: text || 'Hello', from: ME })
export const toRow = ({ n, text }: ReturnType<typeof write>, fate: string): Row => ({
  id: `sent-${n}`,
  n,
  title: 'You',
  body: text,
  note: fate,
})

/** All rows, newest first: our messages that the server has not sent back, then the notifications. */
export const allRows = ({ rows, arrived }: Inbox, sent: readonly Row[]): readonly Row[] => [
  ...sent.filter(({ n = 0 }) => n > arrived).reverse(),
  ...rows,
]

/** What follows "Offline" in the banner. */
export const nextTry = ({ state }: Pick<Outage, 'state'>, now: number): string => {
  if (state.name === 'closed') return `: ${state.cause?.message}`
  if (state.name !== 'waiting') return ', connecting …'
  return `, next try in ${Math.max(1, Math.ceil((state.until - now) / 1_000))} s`
}
