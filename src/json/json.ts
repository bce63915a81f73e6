import { reportSafely } from '../common/report.js'
import { createEmitter, type Socket } from '../index.js'
import { ANYTHING, type Issue, type Schema } from './schema.js'
import type { Codec, Encodable, InvalidData, InvalidText, Json, JsonEvents } from './types.js'

/** The number of bytes of a binary message that are checked for JSON text: servers that forward messages often send text as binary. */
const MAX_CHECKED = 2 ** 16

/** `json()` with the type of outgoing values given: that of incoming ones follows from the schema. */
interface JsonOf<Outgoing> {
  (socket: Socket<'arraybuffer' | 'blob'>): Json<unknown, Outgoing>
  <Incoming>(socket: Socket<'arraybuffer' | 'blob'>, schema: Schema<Incoming>): Json<Incoming, Outgoing>
  <Incoming = unknown>(
    socket: Socket,
    schema: Schema<Incoming> | undefined,
    codec: Codec<Outgoing>,
  ): Json<Incoming, Outgoing, InvalidText | InvalidData>
}

/**
 * Sends and receives values instead of text. With a schema each message is validated, and has the type of the schema's output; without
 * one it is `unknown`. A codec encodes values and decodes binary messages; text is always JSON. Without a codec, binary messages are
 * left to the socket's own listeners, except for JSON text that the server sends as binary: this causes an `invalid` event.
 *
 * ```ts
 * const prices = json(socket, z.object({ symbol: z.string(), bid: z.number() }))
 * prices.on('message', ({ symbol, bid }) => show(symbol, bid))
 * prices.on('invalid', ({ text, issues }) => console.warn(text, issues))
 * prices.send({ subscribe: 'EURUSD' })
 * ```
 *
 * To give the type of outgoing values and infer that of incoming ones, call it twice: `json<Command>()(socket, schema)`.
 *
 * Listeners are called in the order of arrival, even with an asynchronous validator: it is called for each message at once, and its result is
 * held back until the results of earlier messages are there. If a validator never settles, all later messages are delayed. Throws a
 * `TypeError` for anything but a socket, and for a schema that is not a Standard Schema.
 */
export const json: {
  <Outgoing = Encodable>(): JsonOf<Outgoing>
  <Outgoing = Encodable>(socket: Socket<'arraybuffer' | 'blob'>): Json<unknown, Outgoing>
  <Incoming, Outgoing = Encodable>(
    socket: Socket<'arraybuffer' | 'blob'>,
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
} = (socket?: Socket<any>, schema: Schema<unknown> = ANYTHING, codec?: Codec<any>): any => {
  if (!socket) return json
  if (!socket.on) throw new TypeError('json() needs a socket')
  const standard = schema['~standard']
  if (!standard) throw new TypeError('json() needs a Standard Schema')
  const { on, off, emit } = createEmitter<JsonEvents<any, any>>(['message', 'invalid'])
  /** How many signals have listeners here. All listeners without a signal count as one. */
  let listeners = 0
  /** The number of messages that have not been dispatched, and a promise for the last of them. */
  let pending = 0
  let last: Promise<void> | undefined

  // Synchronous up to the first `await`: without an asynchronous validator, listeners run during the socket's own event.
  // It never rejects, so that the next message follows in any case.
  const validate = async (source: object, decode: () => unknown, before: unknown) => {
    let result: any
    let issues: readonly Issue[] | undefined
    try {
      result = standard.validate(decode())
      // Any thenable: a page may have several kinds of promise.
      if (result.then) result = await result
      issues = result.issues
      result = result.value
    } catch (cause: any) {
      issues = [{ message: cause?.message ?? 'failed', cause }]
    }
    if (before) await before
    const invalid = { ...source, issues }
    if (!issues) emit('message', result)
    else if (!emit('invalid', invalid) && listeners) {
      const error = new TypeError(`on('invalid') has no listener: ${issues[0]?.message}`)
      reportSafely(Object.assign(error, invalid))
    }
    pending--
  }

  const receive = (source: object, decode: () => unknown) => {
    last = validate(source, decode, pending++ && last)
  }
  const onText = (text: string) => receive({ text }, () => JSON.parse(text))
  const onBinary = async (data: any) => {
    if (codec) return receive({ data }, () => codec.decode(data))
    data = data.slice(0, MAX_CHECKED)
    const text = new TextDecoder().decode(data.arrayBuffer ? await data.arrayBuffer() : data)
    try {
      if (typeof JSON.parse(text) !== 'object') return
    } catch {
      return
    }
    receive({ text }, () => {
      throw new TypeError('JSON sent as binary: have the server send a string, or pass a codec')
    })
  }

  /** The emitter listens to this for as long as it has a listener that was added with the signal. */
  const createCounting = (signal: AbortSignal | undefined) => ({
    get aborted() {
      return signal?.aborted
    },
    addEventListener(type: 'abort', remove: () => void) {
      signal?.addEventListener(type, remove)
      if (listeners++) return
      socket.on('text', onText)
      socket.on('binary', onBinary)
    },
    removeEventListener(type: 'abort', remove: () => void) {
      signal?.removeEventListener(type, remove)
      if (--listeners) return
      socket.off('text', onText)
      socket.off('binary', onBinary)
    },
  })

  const counting = new WeakMap<object, object>()
  const countingOf = (signal: AbortSignal | undefined) => {
    const key = signal ?? counting
    const own = counting.get(key) ?? createCounting(signal)
    counting.set(key, own)
    return own as AbortSignal
  }

  const values: Json<any, any, any> = {
    socket,
    on: (type, listener, options) => on(type, listener, { ...options, signal: countingOf(options?.signal) }),
    off,
    send(value, options) {
      const data = codec ? codec.encode(value) : JSON.stringify(value)
      if (data === undefined) {
        throw new TypeError(`send() cannot encode ${typeof value}: send null or plain data`)
      }
      return socket.send(data, options)
    },
  }
  return values
}
