import type { OutboxSocket, Outcome } from '../reliable.js'
import { type Codec, describe } from './codec.js'
import { createDrain, type Drain } from './drain.js'
import { createId, type PageMessage, type PageMessages } from './page-messages.js'
import { createSender, type Item, type Sender } from './sender.js'
import type { Store } from './store.js'
import { createTabs, type TabMessage } from './tabs.js'
import type { OutboxProblem, OutboxRecord } from './types.js'
import { createWriter, type Writer } from './writer.js'

/** How long a tab without a connection keeps its turn to send. In milliseconds. */
const GRACE = 5_000

/** Connects an outbox's storage to its socket. */
export interface Delivery {
  /** Stores a message of this page, and then sends it. */
  add(message: PageMessage, text: string | Promise<string>): void
  /** The application has aborted the signal of a message of this page. */
  withdraw(id: string): void
  /** Settles the promise of a message of this page. Returns whether there was one. */
  settle(id: string, outcome: Outcome): boolean
  /** The storage was lost: stores the messages of this page again. */
  restore(): void
  /** Resolves when each message has been stored, or could not be stored. */
  done(): Promise<void>
  /** Drops all messages of this page. */
  clear(): Promise<void>
  /** Tells the other tabs that all messages were deleted. */
  announce(): void
}

type Report = (reason: OutboxProblem['reason'], cause: unknown, messages?: OutboxProblem['messages']) => void

/** Settles the promise of a message of this page. Returns whether there was one. */
const createSettle =
  (pageMessages: PageMessages, socket: OutboxSocket): Delivery['settle'] =>
  (id, outcome) => {
    const message = pageMessages.get(id)
    if (!message) return false
    pageMessages.delete(id)
    message.unwatch()
    message.resolve(outcome)
    socket.report(message.text, id, outcome, !message.isRestored)
    return true
  }

/** Deletes messages from the storage, several in one step. */
const createRemoval = (store: Store) => {
  const keys: number[] = []
  let isRunning = false
  return async (key: number) => {
    keys.push(key)
    if (isRunning) return
    isRunning = true
    await undefined
    while (keys.length) await store.remove(keys.splice(0))
    isRunning = false
  }
}

/** Sends the messages that could not be stored, up to the first one that must wait for an earlier message. */
const flush = (unstored: Set<PageMessage>, pageMessages: PageMessages, sender: Sender) => {
  if (!unstored.size) return
  for (const message of pageMessages.values()) {
    if (unstored.delete(message)) sender.send(message)
    else if (!sender.has(message.id)) return
  }
  // The remaining messages already have an outcome.
  unstored.clear()
}

/** Reads a stored message, and passes it on. */
const createReader =
  (
    pageMessages: PageMessages,
    sender: Sender,
    beforeSend: () => void,
    codec: Codec,
    isMine: (record: OutboxRecord) => boolean,
    report: Report,
  ) =>
  async (record: OutboxRecord, signal: AbortSignal) => {
    const { id, body } = record
    if (sender.has(id) || !isMine(record)) return
    let text = pageMessages.get(id)?.text
    try {
      text ??= await codec.decode(body)
    } catch (error) {
      report('codec', error, [describe(record, undefined)])
      return
    }
    beforeSend()
    if (!signal.aborted) sender.send({ ...record, text })
  }

/** Finds messages whose outcome this page has missed while it was frozen or in the back/forward cache. */
const settleMissed = async (
  store: Store,
  pageMessages: PageMessages,
  sender: Sender,
  settle: Delivery['settle'],
) => {
  const stored = await store.all().catch(() => undefined)
  if (!stored) return
  const ids = new Set(stored.map(({ id }) => id))
  for (const { id, key } of [...pageMessages.values()]) {
    if (key !== undefined && !ids.has(id) && !sender.has(id)) settle(id, { status: 'unknown' })
  }
}

/** Drops a message that was withdrawn, if it is stored. */
const dropWithdrawn = (message: PageMessage | undefined, sender: Sender) => {
  if (message?.key !== undefined) sender.cancel(message)
}

/** Settles the remaining messages after the socket was closed. The next socket with this outbox sends the stored ones. */
const settleRest = (pageMessages: PageMessages, sender: Sender, settle: Delivery['settle']) => {
  for (const { id, key } of [...pageMessages.values()]) {
    if (key !== undefined) settle(id, { status: 'stored' })
    else if (!sender.has(id)) settle(id, { status: 'dropped', reason: 'closed' })
  }
}

/** Stores messages again after their storage was lost. */
const restore = (pageMessages: PageMessages, writer: Writer) => {
  for (const message of pageMessages.values()) {
    if (message.key === undefined) continue
    message.key = undefined
    message.wasStored = true
    writer.add(message, message.text)
  }
}

export const createDelivery = (
  name: string,
  socket: OutboxSocket,
  pageMessages: PageMessages,
  store: Store,
  codec: Codec,
  report: Report,
): Delivery => {
  const page = createId()
  const started = Date.now()
  const remove = createRemoval(store)
  let drain: Drain | undefined

  const settle = createSettle(pageMessages, socket)

  const sender = createSender(
    socket,
    ({ id, text, key: first }, outcome) => {
      const { key } = pageMessages.get(id) ?? {}

      // Tells the other tabs first: if this page is closed in between, the message is sent again, and the server recognizes it.
      tabs.post({ kind: 'outcome', id, outcome })
      // It may be stored twice: by an earlier page and, because it was also in the text of `save()`, by this one.
      for (const stored of new Set([first, key])) {
        if (stored !== undefined) remove(stored)
      }
      if (!settle(id, outcome)) socket.report(text, id, outcome, false)
    },
    () => pump(),
  )

  /** The messages of this page that could not be stored, and have not been sent yet. */
  const unstored = new Set<PageMessage>()
  const flushUnstored = () => flush(unstored, pageMessages, sender)

  const pump = () => {
    flushUnstored()
    drain?.pump()
  }

  const writer = createWriter(page, store, codec, pageMessages, unstored, remove, {
    onStored() {
      tabs.post({ kind: 'added' })
      pump()
    },
    onOverflow: ({ id }) => void settle(id, { status: 'dropped', reason: 'overflow' }),
    onCodec: (message, cause) => report('codec', cause, [describe(message, message.text)]),
  })

  const onCleared = async () => {
    unstored.clear()
    sender.withdrawAll(() => true)
    for (const { id } of [...pageMessages.values()]) settle(id, { status: 'dropped', reason: 'cleared' })
    await writer.done()
  }

  /** Without locks, each tab sends its own messages and those of earlier pages. */
  const isMine = ({ page: by, time }: OutboxRecord) => tabs.hasLocks || by === page || time <= started

  const read = createReader(pageMessages, sender, flushUnstored, codec, isMine, report)

  const onMessage = (news: TabMessage) => {
    if (news.kind === 'added') drain?.pump()
    else if (news.kind === 'outcome') {
      settle(news.id, news.outcome)
      sender.forget(news.id)
    } else if (news.kind === 'withdrawn') sender.withdraw(news.id)
    else if (news.kind === 'cleared') onCleared()
    flushUnstored()
  }

  const tabs = createTabs(name, {
    onMessage,
    onLock(signal) {
      const mine = createDrain(signal, store, sender, read, flushUnstored)
      drain = mine
      signal.addEventListener('abort', () => {
        if (drain === mine) drain = undefined
        // The tab that has the next turn sends them. Messages that were already sent are acknowledged to this page.
        sender.withdrawAll(({ key }: Item) => key !== undefined)
      })
      mine.pump()
    },
    onReturn: () => settleMissed(store, pageMessages, sender, settle),
    onUnlocked: () => report('unlocked', undefined, []),
  })

  let withdrawing: Promise<unknown> | undefined

  watchState(socket, tabs.start, tabs.want, async () => {
    tabs.stop()
    await writer.done()
    await withdrawing
    settleRest(pageMessages, sender, settle)
  })

  return {
    add: writer.add,
    settle,
    done: writer.done,
    withdraw(id) {
      sender.withdraw(id)
      tabs.post({ kind: 'withdrawn', id })
      const drop = () => dropWithdrawn(pageMessages.get(id), sender)
      if (drain) drop()
      pump()
      // Without a connection, no tab has the turn to send. If the message stayed in the storage, a later page would send it.
      withdrawing = Promise.all([withdrawing, writer.done().then(() => tabs.ifFree(drop))])
    },
    restore() {
      restore(pageMessages, writer)
      drain?.restart()
    },
    clear: onCleared,
    announce: () => tabs.post({ kind: 'cleared' }),
  }
}

/** Asks for the turn while the socket has a connection, and keeps it for a short time after that. */
const watchState = (
  socket: OutboxSocket,
  start: () => void,
  want: (isWanted: boolean) => void,
  onClosed: () => void,
) => {
  let timer: ReturnType<typeof setTimeout> | undefined
  const onState = ({ name, cause }: OutboxSocket['state']) => {
    const isClosed = name === 'closed' && cause
    if (!isClosed) start()
    if (name === 'open' || name === 'closing' || name === 'closed') {
      clearTimeout(timer)
      timer = undefined
      want(name === 'open')
    } else timer ??= setTimeout(want, GRACE, false)
    if (isClosed) onClosed()
  }
  onState(socket.state)
  socket.on('state', onState)
}
