import type { Outage, Socket, SocketOptions } from '../index.js'
import type { Json } from '../json.js'
import type { ReliableMessage, ReliableSocket } from '../reliable.js'

/** The options of a shared socket: those of `createSocket()`, and its key. */
export interface SharedOptions<Binary extends 'arraybuffer' | 'blob' = 'arraybuffer'>
  extends SocketOptions<Binary> {
  /**
   * All components that ask with the same key share one socket, which has the endpoint and the options of the first. Include everything on
   * which these depend, such as the user's id. Required if the endpoint is a function. Default: the address.
   */
  key?: string | undefined
}

/** The options of a shared socket whose endpoint is a function. */
export interface KeyedOptions<Binary extends 'arraybuffer' | 'blob' = 'arraybuffer'>
  extends SharedOptions<Binary> {
  /** Required here: a component makes another function each time that it is rendered. */
  key: string
}

/** A socket of any kind. */
export type AnySocket = Socket<'arraybuffer' | 'blob'> | ReliableSocket<any>

/** Where messages come from: a socket, or the `json()` of one. */
export type MessageSource = AnySocket | Json<any, any, any>

/** A message of a source: a text of a socket, a value of `json()`, or a message of a reliable socket. */
export type MessageOf<Source> =
  Source extends Json<infer Incoming, any, any>
    ? Incoming
    : Source extends ReliableSocket<infer Value>
      ? ReliableMessage<Value>
      : string

/** Whether there is an outage, and if so, since when, and in which state the socket is. */
export type Away<Current> = { readonly away: false } | (Outage<Current> & { readonly away: true })

/** A value, or a function that returns it. */
export type MaybeGetter<Value> = Value | (() => Value)
