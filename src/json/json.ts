import type { Listener, ListenOptions, SendOptions, Socket } from '../index.js'

/** What is wrong with a message, as Standard Schema says it. */
// https://standardschema.dev/schema#the-specification
export interface Issue {
  /** What is wrong, in words. */
  readonly message: string
  /** Where in the value; absent: the value as a whole. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
  /** What was thrown, where the message could not be decoded or the validator failed by itself. */
  readonly cause?: unknown
}

type Result<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly Issue[] }

/** What zod, valibot, arktype and others call a Standard Schema, as far as it is needed here. */
// https://standardschema.dev/schema#the-specification
export interface Schema<Output> {
  readonly '~standard': {
    readonly version: 1
    readonly validate: (value: unknown) => Result<Output> | Promise<Result<Output>>
    readonly types?: { readonly output: Output } | undefined
  }
}

/** A binary encoding: MessagePack, CBOR, Protocol Buffers. Each function is called with one argument. */
export interface Codec<Outgoing = unknown> {
  /** Makes a message of a value. */
  readonly encode: (value: Outgoing) => string | ArrayBuffer | ArrayBufferView
  /** Makes a value of a binary message. It may throw: then the message is `invalid`. */
  readonly decode: (data: ArrayBuffer) => unknown
}

/** What JSON can say, as far as types can tell: not `undefined`, nor a bigint or a symbol. */
export type Encodable = string | number | boolean | object | null

/** A text that is no JSON, or not what the schema says. */
export interface InvalidText {
  /** The text as it came. */
  readonly text: string
  /** Not here: there was no binary message. */
  readonly data?: undefined
  /** What is wrong with it. */
  readonly issues: readonly Issue[]
}

/** A binary message that the codec cannot decode, or that is not what the schema says. */
export interface InvalidData {
  /** Not here: there was no text. */
  readonly text?: undefined
  /** The bytes as they came. */
  readonly data: ArrayBuffer
  /** What is wrong with them. */
  readonly issues: readonly Issue[]
}

/** Each event and what its listeners are called with. */
export interface JsonEvents<Incoming, Invalid = InvalidText> {
  /** What the schema made of a message. */
  message: Incoming
  /** A message that could not be read. If nobody listens for these, each is reported: to `window.onerror`, or the console. */
  invalid: Invalid
}

/** Values over a socket. Its methods can be passed about unbound. */
export interface Json<Incoming = unknown, Outgoing = Encodable, Invalid = InvalidText> {
  /**
   * Listens, and returns how to stop. The same listener twice is one. The socket is listened to as long as somebody
   * listens here: once all have left, nothing of this is left behind. Throws a `TypeError` for an event that there is not.
   */
  on<Type extends keyof JsonEvents<Incoming, Invalid>>(
    type: Type,
    listener: Listener<JsonEvents<Incoming, Invalid>[Type]>,
    options?: ListenOptions,
  ): () => void
  /** Listens no more. A listener that was not there is no mistake. */
  off<Type extends keyof JsonEvents<Incoming, Invalid>>(
    type: Type,
    listener: Listener<JsonEvents<Incoming, Invalid>[Type]>,
  ): void
  /**
   * Encodes a value and sends it as the socket does. Throws a `TypeError` for what JSON cannot say (`undefined`, a
   * function or symbol as the value; a bigint or a cycle anywhere in it), and whatever a codec throws.
   */
  send(value: Outgoing, options?: SendOptions): 'sent' | 'queued' | 'dropped'
}

interface Subscription {
  once: boolean | undefined
  leave: () => void
}

/**
 * Sends and hears values instead of text. With a schema each message is validated, and typed by what the schema makes
 * of it; without one it is `unknown`. A codec encodes what is sent and decodes binary messages; text is JSON always.
 * Without a codec, binary messages are left to the socket's own listeners.
 *
 * ```ts
 * const prices = json(socket, z.object({ symbol: z.string(), bid: z.number() }))
 * prices.on('message', ({ symbol, bid }) => show(symbol, bid))
 * prices.on('invalid', ({ text, issues }) => console.warn(text, issues))
 * prices.send({ subscribe: 'EURUSD' })
 * ```
 *
 * Messages are heard in the order of their arrival, also where the validator is asynchronous: it is asked about each
 * at once, and an answer waits for those before it, so one that never comes holds up all that follow. Where none is
 * waited for, listeners are called in the socket's own turn. Throws a `TypeError` for what is no Standard Schema.
 */
export const json: {
  <Outgoing = Encodable>(socket: Socket<BinaryType>): Json<unknown, Outgoing>
  <Incoming, Outgoing = Encodable>(
    socket: Socket<BinaryType>,
    schema: Schema<Incoming>,
  ): Json<Incoming, Outgoing>
  <Outgoing>(
    socket: Socket,
    schema: undefined,
    codec: Codec<Outgoing>,
  ): Json<unknown, Outgoing, InvalidText | InvalidData>
  <Incoming, Outgoing>(
    socket: Socket,
    schema: Schema<Incoming>,
    codec: Codec<Outgoing>,
  ): Json<Incoming, Outgoing, InvalidText | InvalidData>
} = (
  socket: Socket<any>,
  schema: Schema<unknown> = { '~standard': { version: 1, validate: value => ({ value }) } },
  codec?: Codec<any>,
): Json<any, any, any> => {
  const standard = schema['~standard']
  if (!standard) throw new TypeError('json() takes a Standard Schema')
  const message = new Map<Listener<any>, Subscription>()
  const invalid = new Map<Listener<any>, Subscription>()
  const lists = { message, invalid }
  /** How many messages have come and are not told yet, and what resolves once the last of them is. */
  let waiting = 0
  let last: Promise<void> | undefined

  // In a microtask every platform reports it as uncaught, also those that lack `reportError`.
  const report = (error: unknown) =>
    queueMicrotask(() => {
      throw error
    })

  const hear = (data: any) => {
    last = take(data, waiting++ && last)
  }

  // Synchronous up to the first `await`: where nothing is waited for, the listeners hear in the socket's own turn.
  // It never rejects, for then nothing would follow.
  const take = async (data: string | ArrayBuffer, before: unknown) => {
    const isText = typeof data === 'string'
    let payload: any
    let issues: readonly Issue[] | undefined
    try {
      // Without a codec no bytes come here.
      payload = standard.validate(isText ? JSON.parse(data) : (codec as Codec).decode(data))
      // Any thenable: a page may have several kinds of promise.
      if (payload.then) payload = await payload
      issues = payload.issues
      payload = payload.value
    } catch (cause: any) {
      issues = [{ message: cause?.message ?? 'failed', cause }]
    }
    if (before) await before
    const list = issues ? invalid : message
    if (issues) {
      payload = { [isText ? 'text' : 'data']: data, issues }
      if (!list.size && message.size) {
        // Where errors cannot be reported they end the process, which what a peer sends must not.
        ;(globalThis.reportError ?? console.error)(
          Object.assign(new TypeError(`on('invalid') has no listener: ${issues[0]?.message}`), payload),
        )
      }
    }
    // A copy, for who joins now hears from the next message on.
    for (const [listener, subscription] of [...list]) {
      if (list.get(listener) !== subscription) continue
      if (subscription.once) subscription.leave()
      try {
        listener(payload)
      } catch (error) {
        report(error)
      }
    }
    waiting--
  }

  const off = (type: 'message' | 'invalid', listener: Listener<any>) => lists[type].get(listener)?.leave()

  return {
    on(type, listener, { once, signal } = {}) {
      const list = lists[type]
      if (!list || typeof listener !== 'function') {
        throw new TypeError('on() takes message or invalid, and a function')
      }
      const leave = () => {
        list.delete(listener)
        signal?.removeEventListener('abort', leave)
        if (message.size || invalid.size) return
        socket.off('text', hear)
        socket.off('binary', hear)
      }
      if (!signal?.aborted && !list.has(listener)) {
        signal?.addEventListener('abort', leave)
        list.set(listener, { once, leave })
        // To the socket the same listener twice is one.
        socket.on('text', hear)
        if (codec) socket.on('binary', hear)
      }
      return () => off(type, listener)
    },

    off,

    send(value, options) {
      const data = codec ? codec.encode(value) : JSON.stringify(value)
      if (data === undefined)
        throw new TypeError(`send() cannot encode ${typeof value}: send null or plain data`)
      return socket.send(data, options)
    },
  }
}
