import type { Socket } from '../index.js'
import { createDelivery, type Delivery } from './delivery.js'
import { createHubSocket, type HubSettings } from './hub-socket.js'
import type { Channel, Platform } from './platform.js'
import {
  type Config,
  type Entry,
  type Envelope,
  encode,
  HUB,
  type HubMessage,
  type Snapshot,
  TAB,
  TABS,
  type TabMessage,
} from './protocol.js'
import { createReplay } from './replay.js'
import { createRequests, type Requests } from './requests.js'

/** What the hub knows about a tab. */
export interface Tab {
  readonly id: string
  /** The number of the connection that the tab knows to be open. */
  ready: number
  /** Whether a socket of the tab has been open. */
  hasBeenOpen: boolean
  /** Whether the tab has ended. Its messages are sent without it. */
  isGone: boolean
  /** The id of the last message that arrived from it. */
  last: number
  /** The id of the last message from it that was sent to the server. */
  sent: number
  /** Stops waiting for the tab's lock. */
  unwatch(): void
}

/** The holder of the connection. */
export interface Hub {
  /** Sends the messages of tabs that have ended. */
  adopt(entries: readonly Entry[]): void
  /** Closes the connection, and forgets all messages of all tabs. */
  signOut(code: number | undefined, reason: string | undefined): void
  /**
   * Closes the connection, and leaves it to the next hub. `entries`: the messages of the tab in which this hub is. Returns the id of the last of
   * them that was sent, and whether another tab has taken over the rest.
   */
  stop(id: string, entries: Iterable<Entry>): { sent: number; isTaken: boolean }
}

/** Calls methods of the hub's socket for tabs. */
const createCaller = (
  socket: () => Socket<any> | undefined,
  post: (message: HubMessage, to: string) => void,
) => {
  let handover: Promise<void> | undefined
  return async (tab: string, { method, args, id }: TabMessage & { type: 'call' }) => {
    try {
      // All tabs of a session request a handover when the server announces a shutdown.
      if (method === 'handover') handover ??= socket()?.handover(...args)
      const value = await (method === 'handover' ? handover : (socket() as any)?.[method](...args))
      post({ type: 'reply', id, value }, tab)
    } catch (error) {
      post({ type: 'reply', id, error: encode(error) }, tab)
    }
    if (method === 'handover') handover = undefined
  }
}

/** Receives a message of a tab that has joined. */
const receive = (
  message: Exclude<TabMessage, { type: 'join' }>,
  tab: Tab,
  delivery: Delivery,
  requests: Requests,
  call: ReturnType<typeof createCaller>,
  forget: (tab: Tab) => void,
) => {
  if (message.type === 'leave') forget(tab)
  else if (message.type === 'send') delivery.add(tab, message)
  else if (message.type === 'cancel') delivery.cancel(tab, message.id, message.reason)
  else if (message.type === 'ready') {
    tab.ready = message.connection
    tab.hasBeenOpen = true
    delivery.flush()
  } else if (message.type === 'call') call(tab.id, message)
  else requests.receive(message)
}

/** A tab that has just joined. */
const createTab = (id: string): Tab => ({
  ...{ id, ready: 0, hasBeenOpen: false, isGone: false, last: -1, sent: -1 },
  unwatch() {},
})

/** The names of options that differ. */
const conflictOf = (one: Config, other: Config) =>
  Object.keys({ ...one, ...other }).filter(name => JSON.stringify(one[name]) !== JSON.stringify(other[name]))

/** Whether all tabs that are alive have joined. */
const haveJoined = async (name: string, platform: Platform, tabs: ReadonlyMap<string, Tab>) =>
  (await platform.held()).every(
    lock => !lock.startsWith(`${name} ${TAB}`) || tabs.has(lock.slice(name.length + 1)),
  )

/** Starts a hub, which holds the connection of all tabs that use channels and locks of this name. */
export const startHub = (
  name: string,
  holder: string,
  platform: Platform,
  settings: HubSettings = {},
): Hub => {
  const epoch = Math.random().toString(36).slice(2)
  /** `undefined` after the end. */
  let channel: Channel | undefined = platform.open(name)
  const tabs = new Map<string, Tab>()
  let socket: Socket<any> | undefined
  let config: Config | undefined
  let connection = 0
  let snapshot: () => Snapshot
  const post = (message: HubMessage, to = TABS) => channel?.postMessage({ ...message, from: epoch, to })
  const requests = createRequests(tabs, post, () => haveJoined(name, platform, tabs))
  const replay = createReplay()
  const delivery = createDelivery(
    () => socket,
    () => connection,
    post,
  )

  const connect = (next: Config) => {
    config = next
    replay.setLimits(next.replay as object)
    const created = createHubSocket(next, requests, settings, post, (event, payload) => {
      if (socket !== created.socket || (event === 'drop' && payload.reason !== 'too-big')) return
      if (event === 'text' || event === 'binary')
        return post({ type: 'message', event, data: payload, number: replay.add(event, payload) })
      if (event === 'open') connection++
      post({ type: 'event', event, payload: encode(payload), snapshot: snapshot(), connection })
      delivery.flush()
    })
    socket = created.socket
    snapshot = created.snapshot
  }

  const disconnect = (code?: number, reason?: string) => {
    delivery.flush(true)
    const ended = socket
    socket = undefined
    ended?.close(code, reason)
  }

  const forget = (tab: Tab) => {
    if (!tabs.delete(tab.id)) return
    replay.leave(tab)
    tab.isGone = true
    tab.unwatch()
    requests.forget(tab)
    delivery.flush()
    if (tabs.size) post({ type: 'sharing', tabs: tabs.size })
    else disconnect()
  }

  const join = (id: string, message: TabMessage & { type: 'join' }) => {
    const { last } = message
    // A socket that was closed starts from the beginning. Other tabs send its remaining messages.
    const known = tabs.get(id) ?? (last && replay.tab(id))
    known?.unwatch()
    const tab = known ?? createTab(id)
    tab.hasBeenOpen = message.hasBeenOpen
    tab.ready = 0
    tab.isGone = false
    tabs.set(id, tab)
    tab.unwatch = platform.lock(`${name} ${id}`, () => forget(tab))
    if (!socket) connect(message.config)
    const missed = replay.since(id, known && last?.epoch === epoch ? last.number : undefined)
    const conflict = conflictOf(config as Config, message.config)
    const { sent } = tab
    post({ type: 'welcome', holder, snapshot: snapshot(), connection, sent, ...missed, conflict }, id)
    post({ type: 'sharing', tabs: tabs.size })
  }

  const signOut = (code?: number, reason?: string) => {
    for (const tab of tabs.values()) tab.unwatch()
    tabs.clear()
    delivery.clear()
    replay.clear()
    disconnect(code, reason)
  }

  const call = createCaller(() => socket, post)

  channel.onmessage = ({ data }: { data: Envelope<TabMessage> | Envelope<HubMessage> }) => {
    const { from } = data
    if (data.type === 'signOut') return signOut(data.code, data.reason)
    if (data.to !== HUB) return
    const message = data as Envelope<TabMessage>
    if (message.type === 'join') return join(from, message)
    const tab = tabs.get(from)
    if (tab) receive(message, tab, delivery, requests, call, forget)
  }
  post({ type: 'hello' })

  return {
    adopt: delivery.adopt,
    signOut,
    stop(id, entries) {
      const tab = tabs.get(id)
      if (tab) {
        tab.isGone = true
        for (const entry of entries) delivery.add(tab, entry)
      }
      disconnect()
      post({ type: 'bye', orphans: delivery.orphans() })
      for (const tab of tabs.values()) tab.unwatch()
      // The connection may end later, and then asks a tab to abort its functions.
      channel?.close()
      channel = undefined
      return { sent: tab?.sent ?? -1, isTaken: tabs.size > 1 }
    },
  }
}
