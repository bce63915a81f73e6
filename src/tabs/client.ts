import { guard } from '../common/report.js'
import { SocketError } from '../index.js'
import { createCalls, type Functions } from './functions.js'
import { createLink, type Link } from './link.js'
import { createMembership, type Membership } from './membership.js'
import type { Platform } from './platform.js'
import type { Config, Envelope, HubMessage, Position } from './protocol.js'
import { createSendQueue, type SendQueue } from './send-queue.js'
import type { CreateTabSession, TabSession } from './tab-session.js'
import type { Sharing, TabsSocketOptions } from './types.js'
import { createView, type View } from './view.js'

/** The tab's side of a shared connection, as the methods of its socket use it. */
export interface Client extends Membership {
  readonly view: View
  readonly sendQueue: SendQueue
  readonly link: Link
  readonly counts: { sent: number; received: number; dropped: number }
  readonly call: ReturnType<typeof createCalls>['call']
  /** The reliable session that the tabs share, if there is one. */
  readonly session: TabSession | undefined
}

/** The handlers of the hub's messages, by type. */
type Handlers = { [Type in HubMessage['type']]?: (message: Envelope<HubMessage & { type: Type }>) => void }

/** Whether the listeners of this tab receive the message. */
const isWanted = ({ isReply, filter }: Functions, data: unknown): boolean | undefined =>
  guard(() => !isReply?.(data) && (!filter || !!filter(data)))

/** Who holds the connection. */
const holderOf = (holder: string, { id, isShared }: Link): Sharing['holder'] => {
  if (!isShared) return 'none'
  return holder === 'worker' ? holder : holder === id ? 'this tab' : 'another tab'
}

const confirmTo = (link: Link, sendQueue: SendQueue, isOpen: boolean, connection: number) => {
  sendQueue.setOpen(isOpen)
  if (isOpen) link.post({ type: 'ready', connection })
}

const lossOf = (isPlanned: boolean) =>
  isPlanned
    ? new SocketError('HANDOVER', undefined, undefined, 'another tab takes over the connection')
    : new SocketError('CONNECTION_LOST', undefined, undefined, 'the holder of the connection has ended')

/** The position in the messages from the server at which this tab goes away. `last`: the position at which it went away before. */
const positionOf = (last: Position | undefined, { epoch }: Link, { hasBeenOpen }: View, number: number) => {
  if (epoch) return { epoch, number }
  // The hub has ended, and no other hub knows this tab. If there has been a connection, the tab has missed messages.
  return last ?? (hasBeenOpen ? { epoch: '', number } : undefined)
}

/** Creates this tab's end of the connection. */
export const createClient = (
  name: string,
  platform: Platform,
  config: Config,
  functions: Functions,
  { worker, queue, WebSocket }: TabsSocketOptions<any>,
  createSession: CreateTabSession | undefined,
): Client => {
  const view = createView()
  const { emit } = view.emitter
  const counts = { sent: 0, received: 0, dropped: 0 }
  /** The position of the last message from the server before this tab went away. */
  let last: Position | undefined
  let number = 0
  let connection = 0

  const join = () => link.post({ type: 'join', config, last, hasBeenOpen: view.hasBeenOpen })
  const read = (message: Envelope<HubMessage>) => receive(message)
  const link: Link = createLink(name, platform, worker, { WebSocket }, join, read, emit)
  const sendQueue = createSendQueue(queue ?? {}, link.post, (data, reason) => {
    counts.dropped++
    emit('drop', { data, reason })
  })
  const calls = createCalls(functions, link.post)
  const session = createSession?.(functions, view, sendQueue, link, read)
  const prepare: TabSession['prepare'] = session?.prepare ?? ((_, job) => job())

  /** From now on, the hub may send the messages of this tab. */
  const confirm = () => confirmTo(link, sendQueue, view.isOpen, connection)
  const onMessage = (event: 'text' | 'binary', given: any) => {
    const data = session && event === 'text' ? session.read(given) : given
    if (data === undefined || !isWanted(functions, data)) return
    counts.received++
    emit(event, data)
  }
  const loseHub = (isPlanned: boolean) => {
    link.epoch = undefined
    // A reliable session resends whatever was not acknowledged.
    if (session) sendQueue.forget()
    else sendQueue.lose(isPlanned)
    const cause = lossOf(isPlanned)
    calls.lose(cause)
    view.end(cause, { name: 'connecting', attempt: 0, cause }, isPlanned ? 1000 : 1006)
  }

  const handlers: Handlers = {
    welcome(message) {
      const { from, holder, kept, missed, conflict } = message
      if (from === link.epoch) return confirm()
      link.epoch = from
      number = message.number
      connection = message.connection
      counts.sent += sendQueue.sent(message.sent)
      if (last && missed === undefined) sendQueue.lose(false)
      link.onWelcome(holder === 'worker')
      view.setSharing({ holder: holderOf(holder, link) })
      if (conflict.length) emit('conflict', conflict)
      prepare(message.snapshot, () => {
        view.catchUp(message.snapshot)
        if (last && missed !== 0) emit('gap', { missed, replayed: kept.length })
        if (last) for (const { type, data } of kept) onMessage(type, data)
        last = undefined
        sendQueue.repost()
        confirm()
      })
    },
    sharing: ({ tabs }) => view.setSharing({ tabs }),
    event(message) {
      const isNew = message.connection !== connection
      view.update(message.snapshot)
      connection = message.connection
      const proceed = () => {
        if (isNew || !view.isOpen) confirm()
        view.onEvent(message.event, message.payload)
      }
      if (message.event === 'open') prepare(message.snapshot, proceed)
      else proceed()
    },
    message(message) {
      if (message.number <= number) return
      number = message.number
      onMessage(message.event, message.data)
    },
    sent({ id }) {
      counts.sent += sendQueue.sent(id)
    },
    dropped: sendQueue.drop,
    ask: calls.answer,
    abort: calls.abort,
    retry: ({ context }) => void functions.retry?.(context),
    reply: calls.reply,
  }

  const receive = (message: Envelope<HubMessage>) => {
    if (session?.isWaiting(message)) return
    const { type, from } = message
    if (type === 'signOut') return client.close(message.code, message.reason, true)
    if (type === 'hello') {
      if (link.epoch) loseHub(false)
      join()
    } else if (type === 'bye') {
      link.adopt(message.orphans)
      if (from === link.epoch) loseHub(true)
    } else if (type === 'welcome' || from === link.epoch)
      (handlers[type] as (message: unknown) => void)?.(message)
  }

  const client: Client = {
    view,
    sendQueue,
    link,
    counts,
    call: calls.call,
    session,
    ...createMembership(view, sendQueue, link, calls, isAway => {
      last = isAway ? positionOf(last, link, view, number) : undefined
    }),
  }
  return client
}
