// The frames of json.reliable.webpubsub.azure.v1, for both ends. PROTOCOL.md explains them.
// https://learn.microsoft.com/azure/azure-web-pubsub/reference-json-reliable-webpubsub-subprotocol

/** The subprotocol that client and server agree on. */
export const PROTOCOL = 'json.reliable.webpubsub.azure.v1'

/** The format of data in a frame: JSON, text, or bytes (as base64). */
export type DataType = 'json' | 'text' | 'binary'

/** Data, in the form that it has in a frame. */
export type FrameData =
  | { readonly dataType: 'json'; readonly data: unknown }
  | { readonly dataType: 'text'; readonly data: string }
  /** `data` is base64, or the bytes themselves if the frame was not JSON. */
  | { readonly dataType: 'binary'; readonly data: string | ArrayBuffer }

/**
 * A client's request. The server processes each `ackId` once, in order, and answers with an `AckFrame`. It does not answer a request without
 * one.
 */
export type RequestFrame = { readonly ackId?: number | undefined } & (
  | ({ readonly type: 'event'; readonly messageId?: string | undefined; readonly event: string } & FrameData)
  | ({
      readonly type: 'sendToGroup'
      readonly messageId?: string | undefined
      readonly group: string
      readonly noEcho?: boolean | undefined
    } & FrameData)
  | { readonly type: 'joinGroup' | 'leaveGroup'; readonly group: string }
)

/**
 * A request that is answered with a value, as Azure's client sends it. It has no number, so the server could not recognize a repetition. It
 * therefore belongs to its connection. The server answers with an `InvokeResponseFrame`.
 */
// https://learn.microsoft.com/javascript/api/@azure/web-pubsub-client/invokemessage
export type InvokeFrame = {
  readonly type: 'invoke'
  readonly ackId?: undefined
  readonly invocationId: string
  /** Absent or `'event'`. */
  readonly target?: 'event' | undefined
  readonly event: string
} & FrameData

/** A frame from the client to the server. */
export type ClientFrame =
  | RequestFrame
  | InvokeFrame
  /** The client no longer waits for the answer. */
  | { readonly type: 'cancelInvocation'; readonly invocationId: string }
  /** The client has processed every message up to this number. */
  | { readonly type: 'sequenceAck'; readonly sequenceId: number }
  | { readonly type: 'ping' }
  /** The client will not come back: the session ends when the requests before this are processed. Only for servers with this feature. */
  | { readonly type: 'endSession' }

/**
 * Additions to Azure's protocol that a server supports. It names them in `connected`. A client uses only those that the server has named.
 * `endSession`: the frame of this name. `resumeProtocol`: the client may offer a subprotocol that begins with `RESUME_PROTOCOL`. `messageIds`:
 * messages may have a `messageId`.
 */
export type Feature = 'endSession' | 'resumeProtocol' | 'messageIds'

/**
 * The beginning of a subprotocol `resume.ID.TOKEN`, which a client offers in addition to `PROTOCOL`, in place of parameters of the URL:
 * browsers and proxies write URLs to their logs. The server never selects it.
 */
export const RESUME_PROTOCOL = 'resume.'

/** The first frame on every connection. */
export interface ConnectedFrame {
  readonly type: 'system'
  readonly event: 'connected'
  /** The session: the same as before if it was resumed. */
  readonly connectionId: string
  /** The secret that resumes the session on the next connection. Without one it cannot be resumed. */
  readonly reconnectionToken?: string | undefined
  readonly userId?: string | undefined
  /**
   * The number of the newest message that the server has for the session. An addition to Azure's protocol, optional: a client that has
   * received a higher number knows that the server's store went back to an older state, before any message arrives.
   */
  readonly sequenceId?: number | undefined
  /** What the server supports beyond Azure's protocol. */
  readonly features?: readonly Feature[] | undefined
}

/** The connection is about to be closed. The code of the close frame decides whether the session has ended. */
export interface DisconnectedFrame {
  readonly type: 'system'
  readonly event: 'disconnected'
  readonly message?: string | undefined
}

/** The server will be shut down: the client should move to another one, and resume the session there. Like `limited`, an addition. */
export interface DrainingFrame {
  readonly type: 'system'
  readonly event: 'draining'
  readonly message?: string | undefined
}

/**
 * The server reads more slowly, because this client sends too much. An addition to Azure's protocol, optional: clients ignore events that
 * they do not know.
 */
export interface LimitedFrame {
  readonly type: 'system'
  readonly event: 'limited'
  /** Which limit was exceeded. */
  readonly message: string
}

/** A message to the client. The client delivers each `sequenceId` once, in order. */
export type MessageFrame = {
  readonly type: 'message'
  /** Who sent it: the server, or a member of `group`. */
  readonly from: 'server' | 'group'
  readonly group?: string | null | undefined
  /** The user who sent it, of a message from a group. */
  readonly fromUserId?: string | null | undefined
  readonly sequenceId: number
} & FrameData

/** Why a request failed. The name `Duplicate` means that the request has been processed before: a success. */
export interface AckError {
  readonly name: string
  readonly message: string
}

/** The outcome of the request with this `ackId`. */
export type AckFrame = { readonly type: 'ack'; readonly ackId: number } & (
  | { readonly success: true; readonly error?: undefined }
  | { readonly success: false; readonly error?: AckError | undefined }
)

/** The answer to an `InvokeFrame`. It has no number, so it is lost with its connection. */
// https://learn.microsoft.com/javascript/api/@azure/web-pubsub-client/invokeresponsemessage
export interface InvokeResponseFrame {
  readonly type: 'invokeResponse'
  readonly invocationId: string
  readonly success: boolean
  readonly error?: AckError | undefined
}

/** A frame from the server to the client. */
export type ServerFrame =
  | ConnectedFrame
  | DisconnectedFrame
  | LimitedFrame
  | DrainingFrame
  | MessageFrame
  | AckFrame
  | InvokeResponseFrame
  | { readonly type: 'pong' }

/** A frame without its data. */
export type FrameHead<Frame> = Frame extends FrameData ? Omit<Frame, 'dataType' | 'data'> : Frame

/** The members `dataType` and `data` of a frame, as text. `encode()` appends them. */
export type EncodedData = `,"dataType":"${DataType}","data":${string}`

/**
 * Close codes that mean something to the session. After all others it can be resumed.
 * https://datatracker.ietf.org/doc/html/rfc6455#section-7.4.1
 */
export const CLOSE = {
  /** The session has ended, or this client is not allowed. With a reason of the form `RETRY_AFTER` the client may begin a new session. */
  sessionGone: 1008,
  /** The server restarts or moves. The session is kept. */
  restart: 1012,
  /** The server has no room. */
  tryAgain: 1013,
} as const

/** The beginning of a close reason with the number of seconds after which the client may come back: `retry-after=5`. */
export const RETRY_AFTER = 'retry-after='

/** The message of the error for a frame that breaks the protocol. It quotes nothing, because the frame may contain secrets. */
export const MALFORMED: string = `The server sent what ${PROTOCOL} does not allow`

/** The bytes of a buffer, or of the part that a view shows. They are not copied. */
export const viewOf = (data: any): Uint8Array => {
  const { buffer = data, byteOffset, byteLength } = data
  return new Uint8Array(buffer, byteOffset, byteLength)
}

/** Bytes as base64. Servers on Node have a faster way: pass its result to `encodeAs('binary', …)`. */
export const toBase64 = (bytes: Uint8Array): string => {
  let binary = ''
  // In pieces: a function cannot have millions of arguments.
  for (let i = 0; i < bytes.length; i += 8_192) {
    binary += String.fromCharCode.apply(null, bytes.subarray(i, i + 8_192) as unknown as number[])
  }
  return btoa(binary)
}

/** Base64 as bytes. Throws a `DOMException` for text that is not base64. */
export const fromBase64 = (text: string): Uint8Array => {
  const binary = atob(text)
  const bytes = new Uint8Array(binary.length)
  // Uint8Array.from() would walk the string as an iterable, which takes thirty times as long.
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i)
  return bytes
}

/** Encodes data in the form that its type has in a frame, for `encode()`. Throws a `TypeError` for data that JSON cannot represent. */
export const encodeAs = (dataType: DataType, data: unknown): EncodedData => {
  const json: string | undefined = JSON.stringify(data)
  if (json === undefined) throw new TypeError('Data must be a string, a buffer, or JSON')
  return `,"dataType":"${dataType}","data":${json}`
}

/** Data for `encode()`: strings as text, `ArrayBuffer`s and views as binary, everything else as JSON. Throws as `encodeAs()` does. */
export const encodeData = (data: any): EncodedData => {
  const isView = ArrayBuffer.isView(data)
  // Not `instanceof`: a buffer from another window is an instance of another class.
  const tag = {}.toString.call(isView ? data.buffer : data).slice(8, -1)
  if (tag === 'ArrayBuffer') {
    return encodeAs('binary', toBase64(viewOf(data)))
  }
  // As JSON these would be empty objects.
  const isOpaque = ['Blob', 'File', 'SharedArrayBuffer'].includes(tag)
  return encodeAs(typeof data === 'string' ? 'text' : 'json', isOpaque ? undefined : data)
}

/** The data of a JSON frame: a string, an `ArrayBuffer`, or a JSON value. Throws if it does not have the form of its type. */
export const decodeData = ({ dataType, data }: FrameData): unknown => {
  const isValid = dataType === 'json' ? data !== undefined : typeof data === 'string'
  if (!isValid || !['json', 'text', 'binary'].includes(dataType)) throw new TypeError(MALFORMED)
  return dataType === 'binary' ? fromBase64(data as string).buffer : data
}

/** Encodes a frame as text. `data` is the encoded data of the frame, if it has any. */
export const encode = (head: FrameHead<ClientFrame | ServerFrame>, data: EncodedData | '' = ''): string =>
  `${JSON.stringify(head).slice(0, -1)}${data}}`

/**
 * Checks a frame from the server. Throws for a frame that violates the protocol. A frame with an unknown `type` is valid, and must be ignored.
 * The data of a message is not checked here: `decodeData()` does.
 */
export const check = (frame: any): ServerFrame => {
  const { type, success, sequenceId, group, fromUserId } = frame
  const isValid =
    type === 'ack'
      ? typeof success === 'boolean'
      : type === 'message'
        ? Number.isSafeInteger(sequenceId) &&
          typeof (group ?? '') === 'string' &&
          typeof (fromUserId ?? '') === 'string'
        : typeof type === 'string'
  if (!isValid) throw new TypeError(MALFORMED)
  return frame
}

/** Reads a frame from the server. Throws as `check()` does, and for text that is not JSON. */
export const decode = (text: unknown): ServerFrame => check(JSON.parse(text as string))

/** Whether this is the frame `pong`. The heartbeat asks about every message, so it is not parsed. */
export const isPong = (text: unknown): boolean => /^{\s*"type"\s*:\s*"pong"/.test(text as string)
