// What the apps have in common: the messages of the demo's server, and how they become a list.
import type { State } from 'steadysocket'
import { z } from 'zod'

export const FEED: string = `${location.origin.replace('http', 'ws')}/feed`

const Notification = z.object({
  kind: z.literal('notification'),
  id: z.string(),
  title: z.string(),
  body: z.string(),
})
export type Notification = z.infer<typeof Notification>

/** Messages of other kinds are for the large demo. */
export const Message = z.union([Notification, z.object({ kind: z.string() })])

/** The newest first. After a reconnection, the server sends what it has once more. */
export const add = (
  list: readonly Notification[],
  message: z.infer<typeof Message>,
): readonly Notification[] =>
  'id' in message && !list.some(({ id }) => id === message.id) ? [message, ...list].slice(0, 30) : list

export const describe = (state: State): string =>
  state.name === 'waiting'
    ? `Offline. Next attempt at ${new Date(state.until).toLocaleTimeString()}`
    : `Offline: ${state.name}`
