import {
  backoff,
  type CloseEventData,
  createSocket,
  type Endpoint,
  type HeartbeatOptions,
  type Listener,
  type ListenOptions,
  type OpenEventData,
  type QueueOptions,
  type SocketOptions,
  type State,
  type Stats,
} from '../index.js'

/** What became of a message. */
export type Outcome =
  /** The server has acknowledged it. */
  | { readonly outcome: 'delivered' }
  /** It was sent, and the session or the socket ended before an acknowledgement came: processed or not, nobody knows. */
  | { readonly outcome: 'unknown' }
  /** It was not processed. */
  | {
      readonly outcome: 'dropped'
      readonly reason: ReliableDropReason
      /** What the server said, where the reason is `'refused'`; by the protocol `{ name, message }`. */
      readonly error?: unknown
    }

/** Why a message was not processed. */
export type ReliableDropReason =
  /** Its `signal` was aborted before it was sent. */
  | 'aborted'
  /** The socket was closed before it was sent. */
  | 'closed'
  /** Its `ttl` ran out before it was sent. */
  | 'expired'
  /** More waits than `queue` allows. */
  | 'overflow'
  /** The server turned it down. */
  | 'refused'

/** How to send. */
export interface ReliableSendOptions {
  /**
   * What to do when the session is lost while the message is on its way: `'drop'` and report it as `unknown`, or
   * `'resend'` in the new session, where the server cannot know it: it may then be processed twice. Default: `'drop'`.
   */
  onLost?: 'drop' | 'resend'
  /** Drops it when aborted, as long as it has not been sent. Default: none. */
  signal?: AbortSignal
  /** Drops it if it has not been sent after so many milliseconds. Default: keep it. */
  ttl?: number
}

/** A message from the server, or from a group that was joined. */
export type ReliableMessage<Json = unknown> = {
  /** Its number in the session, from 1. */
  readonly id: number
  /** The group that it was published to, if it was. */
  readonly group: string | undefined
} & (
  | { readonly dataType: 'text'; readonly data: string }
  | { readonly dataType: 'binary'; readonly data: ArrayBuffer }
  | { readonly dataType: 'json'; readonly data: Json }
)

/** A message of ours, as it is on the wire, but with binary data as an `ArrayBuffer`. */
export interface SentMessage {
  /** What was asked for. */
  readonly type: 'event' | 'sendToGroup' | 'joinGroup' | 'leaveGroup'
  /** Its number, by which the server acknowledges it, and knows it again. */
  readonly ackId: number
  /** The event's name, of an `event`. */
  readonly event?: string
  /** The group, of all others. */
  readonly group?: string
  /** How `data` travels. Absent where there is none. */
  readonly dataType?: 'text' | 'binary' | 'json'
  /** What was sent. */
  readonly data?: unknown
}

/** Exactly once, in order, could not be kept up. Nothing is delivered between the break and this news. */
export type Gap =
  /** The session is lost, and with it what the server had not delivered: of that nobody knows how much it was. */
  | {
      readonly reason: 'session'
      /** What was sent, not acknowledged, and will not be sent again: its outcome is `unknown`. */
      readonly unknown: readonly SentMessage[]
      /** What was sent, not acknowledged, and will be sent again: it may be processed twice. */
      readonly resent: readonly SentMessage[]
    }
  /** The server's numbers jumped: so many messages never came, or could not be read. */
  | { readonly reason: 'skipped'; readonly missed: number }

/** Each event and what its listeners are called with. */
export interface ReliableEvents<Json = unknown> {
  /** A message, once and in order. It is acknowledged after its listeners have returned. */
  message: ReliableMessage<Json>
  /** Messages are missing, or may have been processed twice: reload what you show. */
  gap: Gap
  /** A message was not processed: what its promise says, said to all. */
  drop: SentMessage & Extract<Outcome, { outcome: 'dropped' }>
  /** Every transition, once. */
  state: ReliableState
  /** Ready: what is not acknowledged has been sent again. `resumed`: the session is the one before. */
  open: Omit<OpenEventData, 'url' | 'protocol'> & { readonly resumed: boolean }
  /** A connection that was open has ended: one for each `open`. */
  close: CloseEventData
  /** An attempt failed (`SocketError`), or the server sent what is not of the protocol (`TypeError`). */
  error: Error
}

/** The core's state, without the URL: there are tokens in it. */
export type ReliableState = Exclude<State, { name: 'open' }> | Omit<Extract<State, { name: 'open' }>, 'url'>

/** A snapshot. `queued` and `queuedBytes` are what has not been sent yet; `sent` and `received` count frames. */
export interface ReliableStats extends Omit<Stats, 'reclaimed'> {
  /** Messages sent and not acknowledged. */
  readonly inFlight: number
  /** Their bytes. */
  readonly inFlightBytes: number
  /** The number of the last message that was delivered in this session. */
  readonly lastSequenceId: number
}

/** The core's options as far as the protocol leaves a choice, and its own. */
export interface ReliableOptions
  extends Omit<
    SocketOptions,
    'protocols' | 'binaryType' | 'prepare' | 'queue' | 'highWaterMark' | 'heartbeat'
  > {
  /** Limits of what has not been sent yet. Default: 16 MiB. */
  queue?: Omit<QueueOptions, 'overflow'>
  /** Notices dead connections with the protocol's own ping. `false` for servers that do not answer it. Default: on. */
  heartbeat?: Omit<HeartbeatOptions, 'message' | 'isReply'> | false
  /** What `save()` gave before the page was reloaded, to go on with. Use it once. Default: none, a new session. */
  saved?: string | null | undefined
}

/** A WebSocket on which each message arrives once and in order, both ways. Its methods can be passed about unbound. */
export interface ReliableSocket<Json = unknown> {
  /**
   * Sends an event to the server. The promise says what became of it, and waits through outages. It rejects, at once,
   * only for bad input: with a `TypeError`, or with what `JSON.stringify()` throws.
   * Strings travel as text, `ArrayBuffer`s and views as binary, all else as JSON. `event`: its name; default: `'message'`.
   */
  send(data: unknown, options?: ReliableSendOptions & { event?: string }): Promise<Outcome>
  /** Sends to all who joined a group, as `send()` does; `noEcho`: but not to this client; default: false. */
  publish(
    group: string,
    data: unknown,
    options?: ReliableSendOptions & { noEcho?: boolean },
  ): Promise<Outcome>
  /** Joins a group, in this session and in those that follow it. Rejects with a `TypeError` for what is no name. */
  join(group: string): Promise<Outcome>
  /** Leaves a group, likewise. */
  leave(group: string): Promise<Outcome>
  /** Listens, and returns how to stop. The same listener twice is one. Throws a `TypeError` for an event that there is not. */
  on<Type extends keyof ReliableEvents>(
    type: Type,
    listener: Listener<ReliableEvents<Json>[Type]>,
    options?: ListenOptions,
  ): () => void
  /** Listens for the next one only, otherwise as `on()`. */
  once<Type extends keyof ReliableEvents>(
    type: Type,
    listener: Listener<ReliableEvents<Json>[Type]>,
    options?: ListenOptions,
  ): () => void
  /** Listens no more. A listener that was not there is no mistake. */
  off<Type extends keyof ReliableEvents>(type: Type, listener: Listener<ReliableEvents<Json>[Type]>): void
  /** Connects now if there is no connection. Throws a `SyntaxError` for a malformed URL. */
  connect(): void
  /** Gives up the present connection or wait, and connects anew, also after `close()`. The session goes on. */
  reconnect(cause?: unknown): void
  /**
   * Closes for good, at once: what was sent and not acknowledged is `unknown`, what was not sent is dropped. To wait for
   * the acknowledgements, await the promises first. Throws for codes and reasons as the core's `close()` does.
   */
  close(code?: number, reason?: string): void
  /** Where it is: the same object until the next `state` event. */
  readonly state: ReliableState
  /** The session's public name; `undefined` until there is one. */
  readonly connectionId: string | undefined
  /** Counts: a new object each time. */
  readonly stats: ReliableStats
  /**
   * The session, and what is not acknowledged, as text to go on with after a reload: call it in `pagehide`, and give it
   * to `options.saved`. There is a secret in it: `sessionStorage` is the place.
   */
  save(): string
}

/** A frame that came: nothing is known about its fields. */
type Frame = Record<string, any>

/** A message as it is kept until it is acknowledged. Its functions belong to this page, the rest can be saved. */
interface Message extends Head {
  readonly ackId: number
  readonly frame: string
  readonly size: number
  readonly onLost: 'drop' | 'resend'
  /** When, by the clock. In what was saved `null` is never. */
  readonly expires: number | null
  settle?(outcome: Outcome): void
  /** Ends the watch over `ttl` and `signal`. */
  unwatch?(): void
}

interface Head {
  readonly type: SentMessage['type']
  readonly event?: string
  readonly group?: string
  readonly noEcho?: boolean | undefined
}

/** Messages by their `ackId`, the oldest first, and their bytes. */
type Line = Map<number, Message> & { bytes: number }

/** The most that may be on its way. A larger message goes alone. */
const WINDOW = 256
const WINDOW_BYTES = 2 ** 20

/** When to acknowledge: so many milliseconds after the first message, or at once after so many messages or characters. */
const ACK_DELAY = 1_000
const ACK_COUNT = 300
/** Servers limit bytes too: 64 of 64 KiB each second would be all that ours sends by default. */
const ACK_LENGTH = 2 ** 19

const enter = (line: Line, message: Message) => {
  line.set(message.ackId, message)
  line.bytes += message.size
}

const leave = (line: Line, { ackId, size }: Message) => {
  if (line.delete(ackId)) line.bytes -= size
}

const lineOf = (messages: readonly Message[] = []): Line => {
  const line = Object.assign(new Map<number, Message>(), { bytes: 0 })
  for (const message of messages) enter(line, message)
  return line
}

/** The end of a frame: its data. */
const encode = (data: any): string => {
  const isView = ArrayBuffer.isView(data)
  const tag = {}.toString.call(isView ? data.buffer : data)
  let dataType = typeof data === 'string' ? 'text' : 'json'
  if (/ ArrayBuffer/.test(tag)) {
    const bytes = isView
      ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      : new Uint8Array(data)
    let binary = ''
    // In pieces: a function takes no millions of arguments.
    for (let i = 0; i < bytes.length; i += 8_192) {
      binary += String.fromCharCode.apply(null, bytes.subarray(i, i + 8_192) as unknown as number[])
    }
    dataType = 'binary'
    data = btoa(binary)
  }
  const json = /Blob|File|Shared/.test(tag) ? undefined : JSON.stringify(data)
  if (json === undefined) throw new TypeError('no string, buffer or JSON')
  return `,"dataType":"${dataType}","data":${json}`
}

/** The data of a frame. Throws if it is not what its type says. */
const decode = ({ dataType, data }: Frame): any => {
  const isText = dataType === 'text' || dataType === 'binary'
  if (isText ? typeof data !== 'string' : dataType !== 'json' || data === undefined) throw 0
  if (dataType !== 'binary') return data
  const binary = atob(data)
  const bytes = new Uint8Array(binary.length)
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i)
  return bytes.buffer
}

/** A message of ours as people see it. */
const view = ({ frame }: Message): SentMessage => {
  const message = JSON.parse(frame)
  return message.dataType ? { ...message, data: decode(message) } : message
}

/** The URL as the platform would take it. Checked here, for what the platform throws shows it, tokens included. */
const address = (endpoint: string | URL): URL => {
  try {
    const url = new URL(endpoint, globalThis.document?.baseURI ?? globalThis.location?.href)
    url.protocol = url.protocol.replace('http', 'ws')
    if (/^ws[^#]+$/.test(url.href)) return url
  } catch {}
  throw new DOMException('no URL of a WebSocket', 'SyntaxError')
}

/**
 * Makes a WebSocket on which each message arrives once and in order, both ways, with a server that speaks the subprotocol
 * `json.reliable.webpubsub.azure.v1`.
 *
 * ```ts
 * const socket = createReliableSocket('wss://push.example.com/feed')
 * socket.on('message', ({ data }) => show(data))
 * socket.on('gap', reloadEverything)
 * const { outcome } = await socket.send({ buy: 3 }, { event: 'order' })
 * ```
 *
 * Throws a `TypeError` for options that make no sense, a `SyntaxError` for a malformed URL, and a `SocketError` with the code
 * `NO_WEBSOCKET` where there is no `WebSocket`.
 */
// https://learn.microsoft.com/azure/azure-web-pubsub/reference-json-reliable-webpubsub-subprotocol
// https://learn.microsoft.com/azure/azure-web-pubsub/reference-json-reliable-webpubsub-subprotocol
export const createReliableSocket = <Json = unknown>(
  endpoint: Endpoint,
  options: ReliableOptions = {},
): ReliableSocket<Json> => {
  const { queue: { maxMessages = Infinity, maxBytes = 2 ** 24 } = {}, retry = backoff(), heartbeat } = options

  // One piece of news after another: what listeners set off waits until all have heard.
  const listeners = new Map<string, Map<Listener<any>, ListenOptions & { stop(): void }>>()
  for (const type of 'message gap drop state open close error'.split(' ')) listeners.set(type, new Map())
  let news: [type: string, payload: unknown][] | undefined

  const emit = <Type extends keyof ReliableEvents>(type: Type, payload: ReliableEvents<Json>[Type]) => {
    if (news) return void news.push([type, payload])
    news = [[type, payload]]
    for (const [type, payload] of news) {
      const list = listeners.get(type)
      for (const [listener, { once }] of [...(list as NonNullable<typeof list>)]) {
        if (!list?.has(listener)) continue
        if (once) off(type, listener)
        try {
          listener(payload)
        } catch (error) {
          // As the platform reports it.
          queueMicrotask(() => {
            throw error
          })
        }
      }
    }
    news = undefined
  }

  const on = (type: string, listener: Listener<any>, how?: ListenOptions) => {
    const list = listeners.get(type)
    const stop = () => off(type, listener)
    if (!list || typeof listener !== 'function') throw new TypeError('no such event, or no function')
    if (!how?.signal?.aborted && !list.has(listener)) {
      list.set(listener, { ...how, stop })
      how?.signal?.addEventListener('abort', stop)
    }
    return stop
  }

  const off = (type: string, listener: Listener<any>) => {
    const list = listeners.get(type)
    const how = list?.get(listener)
    how?.signal?.removeEventListener('abort', how.stop)
    list?.delete(listener)
  }

  // One for all: in Node the making of one takes longer than what it does for a short message.
  const encoder = new TextEncoder()
  const saved: Frame = JSON.parse(options.saved ?? '{}')
  let session: { id: string; token: string } | undefined = saved.session
  /** Whether the present attempt or connection began with a session to resume, and whether it did resume it. */
  let resuming = false
  let resumed = false

  // Outbound. A message waits, is sent, and is let go of when it is acknowledged, in the order of `ackId`.
  const waiting = lineOf(saved.waiting)
  let sent = lineOf(saved.sent)
  /** The messages that joined the groups that we are in: sent again in each new session. */
  const joined = new Map<string, Message>(saved.joined)
  // Never the number of another message, even if something old was saved: to the server it would be its duplicate.
  let next: number = saved.next ? Math.max(saved.next, Date.now() * 1_000) : 1
  let dropped = 0

  // Inbound.
  let last: number = saved.last ?? 0
  let unacknowledged = 0
  let length = 0
  let timer: ReturnType<typeof setTimeout> | undefined

  const settle = (message: Message, outcome: Outcome) => {
    message.unwatch?.()
    message.settle?.(outcome)
    if (outcome.outcome !== 'dropped') return
    dropped++
    emit('drop', { ...view(message), ...outcome })
  }

  const drop = (message: Message, reason: ReliableDropReason) => {
    leave(waiting, message)
    settle(message, { outcome: 'dropped', reason })
  }

  const forget = () => {
    clearTimeout(timer)
    timer = undefined
    unacknowledged = length = 0
  }

  /** Nothing of the session can be taken up again. */
  const lose = () => {
    const unknown: Message[] = []
    const resent: Message[] = []
    for (const message of sent.values()) (message.onLost === 'drop' ? unknown : resent).push(message)
    // In their first order, which is that of `ackId`: a server may take a lower one for a duplicate.
    sent = lineOf([...joined.values(), ...resent].sort((one, other) => one.ackId - other.ackId))
    joined.clear()
    session = undefined
    last = 0
    forget()
    emit('gap', { reason: 'session', unknown: unknown.map(view), resent: resent.map(view) })
    for (const message of unknown) settle(message, { outcome: 'unknown' })
  }

  /** Sends what waits, as far as the window allows. */
  const pump = () => {
    for (const message of waiting.values()) {
      const { frame, size, expires } = message
      // Its timer may be late: the process slept, or the page is hidden.
      if (expires && expires < Date.now()) drop(message, 'expired')
      else {
        if (sent.size && (sent.size >= WINDOW || sent.bytes + size > WINDOW_BYTES)) break
        // Volatile: now, on an open connection, or never. The core keeps nothing and takes nothing back: the message is
        // ours until it is acknowledged.
        if (socket.send(frame, { volatile: true }) !== 'sent') break
        leave(waiting, message)
        enter(sent, message)
        message.unwatch?.()
      }
    }
  }

  const acknowledge = () => {
    forget()
    // If it does not get through, the server will send again what it covers, which brings the next one.
    socket.send(`{"type":"sequenceAck","sequenceId":${last}}`, { volatile: true })
  }

  const take = (frame: Frame, size: number) => {
    const { type, ackId, success, error, sequenceId, group, dataType } = frame
    if (type === 'ack') {
      const message = sent.get(ackId)
      const done = success || error?.name === 'Duplicate'
      if (typeof success !== 'boolean') throw 0
      if (!message) return
      leave(sent, message)
      if (done && message.type === 'joinGroup') joined.set(message.group as string, message)
      if (done && message.type === 'leaveGroup') joined.delete(message.group as string)
      settle(message, done ? { outcome: 'delivered' } : { outcome: 'dropped', reason: 'refused', error })
      pump()
    } else if (type === 'message') {
      if (!Number.isSafeInteger(sequenceId) || typeof (group ?? '') !== 'string') throw 0
      if (sequenceId > last) {
        const data = decode(frame)
        const missed = sequenceId - last - 1
        if (missed) emit('gap', { reason: 'skipped', missed })
        last = sequenceId
        emit('message', { id: last, group: group ?? undefined, dataType, data })
        length += size
        if (++unacknowledged >= ACK_COUNT || length >= ACK_LENGTH) return acknowledge()
      }
      timer ??= setTimeout(acknowledge, ACK_DELAY)
    } else if (typeof type !== 'string') throw 0
  }

  const hear = (text: unknown) => {
    try {
      take(JSON.parse(text as string), (text as string).length)
    } catch {
      // What could not be read counts as not received: the jump of numbers after it will tell.
      emit('error', new TypeError('no frame of the protocol'))
    }
  }

  const transmit = (
    head: Head,
    { onLost = 'drop', signal, ttl = Infinity }: ReliableSendOptions,
    tail = '',
  ) =>
    new Promise<Outcome>(settle => {
      const { event, group = event } = head
      if (!group || typeof group !== 'string' || !(ttl >= 0) || !/^(drop|resend)$/.test(onLost)) {
        throw new TypeError('bad name or options')
      }
      const ackId = next++
      const frame = `${JSON.stringify({ ...head, ackId }).slice(0, -1)}${tail}}`
      const expiry = ttl < 1e9 ? setTimeout(() => drop(message, 'expired'), ttl) : undefined
      const abort = () => drop(message, 'aborted')
      const message: Message = {
        ackId,
        frame,
        size: encoder.encode(frame).length,
        onLost,
        expires: Date.now() + ttl,
        settle,
        unwatch() {
          clearTimeout(expiry)
          signal?.removeEventListener('abort', abort)
        },
        // Last: V8 of 2023 needs 5 µs to put as many members behind it.
        ...head,
      }
      const { name, cause } = socket.state as { name: string; cause?: unknown }
      if (signal?.aborted) return abort()
      if (name === 'closing' || (name === 'closed' && cause)) return drop(message, 'closed')
      signal?.addEventListener('abort', abort)
      enter(waiting, message)
      pump()
      if (waiting.has(ackId) && (waiting.size > maxMessages || waiting.bytes > maxBytes)) {
        drop(message, 'overflow')
      }
    })

  // A malformed one throws at once.
  if (typeof endpoint !== 'function') address(endpoint)

  const socket = createSocket(
    async context => {
      resuming = !!session
      const url = address(typeof endpoint === 'function' ? await endpoint(context) : endpoint)
      if (session?.token) {
        url.searchParams.set('awps_connection_id', session.id)
        url.searchParams.set('awps_reconnection_token', session.token)
      }
      return url
    },
    {
      // Its `queue` too: the core checks the limits, and never has anything in it.
      ...options,
      protocols: 'json.reliable.webpubsub.azure.v1',
      highWaterMark: Infinity,
      retry:
        retry &&
        (context => {
          const { cause, attempt } = context
          // Policy violation: the session is gone, or this client is not wanted. The first may happen to every session,
          // once; where a new one ends like that, it is the second. For a fresh session it comes at once: a server that has lost
          // them all has let in one after the other, and said so to each at its own time.
          const refused = cause.close?.code === 1008
          const again = refused && (resuming || (session && attempt === 1))
          if (session && refused) lose()
          return retry(again ? { ...context, cause: { code: 'RECONNECT_REQUESTED' } } : context)
        }),
      async prepare({ send, receive, signal }) {
        let hello: Frame | undefined
        // A server that turns us away says so first. What it is about tells the close that follows.
        do {
          const text = await receive()
          // It may have ended while we waited, and the session with it.
          if (signal.aborted) return
          try {
            hello = JSON.parse(text as string)
          } catch {}
        } while (hello?.event === 'disconnected')
        const { type, event, connectionId: id, reconnectionToken: token } = hello ?? {}
        if (type !== 'system' || event !== 'connected' || typeof id !== 'string') {
          throw new TypeError("the first frame is not 'connected'")
        }
        resumed = session?.id === id
        if (session && !resumed) lose()
        session = { id, token }
        for (const { frame } of sent.values()) send(frame)
      },
      // To the core `false` is as good as nothing.
      heartbeat: (heartbeat !== false && {
        ...heartbeat,
        message: '{"type":"ping"}',
        isReply: (data: string) => /^{\s*"type"\s*:\s*"pong"/.test(data),
      }) as HeartbeatOptions,
    },
  )

  const bare = ({ ...told }: State & { url?: string }): ReliableState => {
    delete told.url
    return told
  }
  let state = bare(socket.state)

  socket.on('state', next => {
    state = bare(next)
    emit('state', state)
    if (next.name !== 'closed') return
    forget()
    for (const message of sent.values()) {
      // A group is joined for good: what joins it is sent again after `connect()`, and what leaves it, or it would stay joined.
      if (!/^(join|leave)/.test(message.type)) leave(sent, message)
      settle(message, { outcome: 'unknown' })
    }
    for (const message of waiting.values()) drop(message, 'closed')
  })
  socket.on('open', ({ attempt, reconnected }) => {
    emit('open', { attempt, reconnected, resumed })
    pump()
  })
  socket.on('text', hear)
  socket.on('binary', hear)
  socket.on('close', event => emit('close', event))
  socket.on('error', error => emit('error', error))

  return {
    send: async (data, { event = 'message', ...how } = {}) =>
      transmit({ type: 'event', event }, how, encode(data)),
    publish: async (group, data, { noEcho, ...how } = {}) =>
      transmit({ type: 'sendToGroup', group, noEcho }, how, encode(data)),
    join: group => transmit({ type: 'joinGroup', group }, { onLost: 'resend' }),
    leave: group => transmit({ type: 'leaveGroup', group }, { onLost: 'resend' }),
    on,
    once: (type, listener, how) => on(type, listener, { ...how, once: true }),
    off,
    connect: socket.connect,
    reconnect: socket.reconnect,
    close(code, reason) {
      if (timer) acknowledge()
      socket.close(code, reason)
    },
    get state() {
      return state
    },
    get connectionId() {
      return session?.id
    },
    get stats() {
      return {
        ...socket.stats,
        dropped,
        queued: waiting.size,
        queuedBytes: waiting.bytes,
        inFlight: sent.size,
        inFlightBytes: sent.bytes,
        lastSequenceId: last,
      }
    },
    save: () =>
      JSON.stringify({
        session,
        last,
        next,
        joined: [...joined],
        sent: [...sent.values()],
        waiting: [...waiting.values()],
      }),
  }
}
