import type { Listener, ListenOptions, SendOptions, Socket } from '../index.js'
import type { Issue } from './schema.js'

/** A binary encoding, such as MessagePack, CBOR or Protocol Buffers. Each function is called with one argument. */
export interface Codec<Outgoing = unknown> {
  /** Encodes a value as a message. */
  readonly encode: (value: Outgoing) => string | ArrayBuffer | ArrayBufferView
  /** Decodes a binary message. If it throws, the message is `invalid`. */
  readonly decode: (data: ArrayBuffer) => unknown
}

/** A value that JSON can represent, as far as types can express it: no `undefined`, bigint or symbol. */
export type Encodable = string | number | boolean | object | null

/** A text that is not JSON or does not match the schema. */
export interface InvalidText {
  /** The text of the message. */
  readonly text: string
  /** Always undefined: see `InvalidData`. */
  readonly data?: undefined
  /** The problems with the message. */
  readonly issues: readonly Issue[]
}

/** A binary message that the codec cannot decode, or that does not match the schema. */
export interface InvalidData {
  /** Always undefined: see `InvalidText`. */
  readonly text?: undefined
  /** The bytes of the message. */
  readonly data: ArrayBuffer
  /** The problems with the message. */
  readonly issues: readonly Issue[]
}

/** The events and their payloads. */
export interface JsonEvents<Incoming, Invalid = InvalidText> {
  /** A message that matches the schema: the schema's output. */
  message: Incoming
  /** A message that does not. Without a listener, it is reported to `window.onerror` or the console. */
  invalid: Invalid
}

/** Sends and receives values over a socket. The methods do not depend on `this`. */
export interface Json<Incoming = unknown, Outgoing = Encodable, Invalid = InvalidText> {
  /** The socket that was passed to `json()`. */
  readonly socket: Socket<'arraybuffer' | 'blob'>
  /**
   * Adds a listener and returns a function that removes it. Adding the same listener twice has no effect. Listens to the socket only
   * while there are listeners here. Throws a `TypeError` for an unknown event and for a listener that is not a function.
   */
  on<Type extends keyof JsonEvents<Incoming, Invalid>>(
    type: Type,
    listener: Listener<JsonEvents<Incoming, Invalid>[Type]>,
    options?: ListenOptions,
  ): () => void
  /** Removes a listener. Removing one that was never added has no effect. Throws a `TypeError` for an unknown event. */
  off<Type extends keyof JsonEvents<Incoming, Invalid>>(
    type: Type,
    listener: Listener<JsonEvents<Incoming, Invalid>[Type]>,
  ): void
  /**
   * Encodes a value and sends it with the socket's `send()`. Throws a `TypeError` for a value that JSON cannot represent (`undefined`, a
   * function or a symbol; a bigint or a cycle anywhere in the value), and whatever a codec throws.
   */
  send(value: Outgoing, options?: SendOptions): 'sent' | 'queued' | 'dropped'
}
