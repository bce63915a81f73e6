// Reads and writes frames on the server. A client's frame is untrusted until it has been validated here.
import type { NoticeFrame } from '../protobuf/messages.js'
import { readRequest as readBinaryRequest } from '../protobuf/requests.js'
import {
  type ClientFrame,
  type DataType,
  type Feature,
  type FrameData,
  type FrameHead,
  fromBase64,
  type InvokeFrame,
  type InvokeResponseFrame,
  type RequestFrame,
  viewOf,
} from '../reliable/frames.js'
import { parse } from './parse.js'

/** Data with its format on the wire. */
export type Payload =
  | { readonly dataType: 'json'; readonly data: unknown }
  | { readonly dataType: 'text'; readonly data: string }
  | { readonly dataType: 'binary'; readonly data: Uint8Array }

/** A frame whose data, if it has any, is decoded. */
type Decoded<Frame> = Frame extends FrameData ? FrameHead<Frame> & { readonly payload: Payload } : Frame

/** A request that can only be refused, with this error. */
export interface BadRequest {
  readonly type: 'bad'
  readonly ackId: number | undefined
  readonly invocationId?: string | undefined
  readonly name: 'BadRequest' | 'TooLarge'
  readonly why: string
}

/** The client ends its session. Processed in order with the requests. */
interface EndSession {
  readonly type: 'endSession'
  readonly ackId?: undefined
}

/** A client's request, checked and decoded. */
export type Request = Decoded<RequestFrame> | Decoded<InvokeFrame> | BadRequest

/** A frame that is processed in order. */
export type Waiting = Request | EndSession

/** A client's frame, checked and decoded. */
export type ReadFrame = Waiting | Extract<ClientFrame, { type: 'ping' | 'sequenceAck' | 'cancelInvocation' }>

const MAX_NAME = 1_024

/** Something is wrong with a request. The client gets the message as an answer. */
class InvalidRequest extends Error {}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

// A larger number has lost digits in JSON.parse: the answer would name another message.
const isId = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

/** Throws a `TypeError` for an invalid name of a group or event. */
export const checkName = (what: string, name: unknown): string => {
  // Half of a surrogate pair is no character in UTF-8: in Redis two such names would be one.
  const isWhole = typeof name === 'string' && !/\p{Surrogate}/u.test(name)
  // Groups of the server's own begin with the character U+0000.
  if (isWhole && name && name.length <= MAX_NAME && name[0] !== '\0') return name
  throw new TypeError(`${what} needs a name of 1 to ${MAX_NAME} characters that does not begin with U+0000`)
}

const readName = (what: string, name: unknown): string => {
  try {
    return checkName(what, name)
  } catch (error) {
    throw new InvalidRequest((error as Error).message)
  }
}

const readPayload = ({ dataType, data }: Record<string, unknown>): Payload => {
  if (data === undefined) throw new InvalidRequest('data is missing')
  if (dataType === 'json') return { dataType, data }
  // JSON cannot contain a `Uint8Array`, so these are the bytes of a binary frame.
  if (dataType === 'binary' && data instanceof Uint8Array) return { dataType, data }
  if (dataType !== 'text' && dataType !== 'binary') {
    throw new InvalidRequest('dataType must be json, text or binary')
  }
  if (typeof data !== 'string') throw new InvalidRequest(`data of type ${dataType} must be a string`)
  if (dataType === 'text') return { dataType, data }
  try {
    return { dataType, data: fromBase64(data) }
  } catch {
    throw new InvalidRequest('binary data must be base64')
  }
}

const readMessageId = (id: unknown): string | undefined => {
  if (id === undefined || (typeof id === 'string' && /^[\w-]{1,64}$/.test(id))) return id
  throw new InvalidRequest('messageId must have 1 to 64 letters, digits, - or _')
}

const readRequest = (frame: Record<string, unknown>, ackId: number | undefined): Request => {
  const { type, event, group, noEcho = false } = frame
  const messageId = readMessageId(frame.messageId)
  switch (type) {
    case 'event':
      return { type, ackId, messageId, event: readName('event', event), payload: readPayload(frame) }
    case 'joinGroup':
    case 'leaveGroup':
      return { type, ackId, group: readName('group', group) }
    case 'sendToGroup':
      if (typeof noEcho !== 'boolean') throw new InvalidRequest('noEcho must be true or false')
      return { type, ackId, messageId, group: readName('group', group), payload: readPayload(frame), noEcho }
    case 'invoke':
      return readInvocation(frame)
    default:
      throw new InvalidRequest('there is no such type of frame')
  }
}

const readInvocation = (frame: Record<string, unknown>): Request => {
  const invocationId = readName('invocationId', frame.invocationId)
  try {
    const { event, target = 'event', dataType } = frame
    if (target !== 'event') throw new InvalidRequest('target must be event')
    // Azure's client omits data that is null.
    const payload: Payload = dataType === undefined ? { dataType: 'json', data: null } : readPayload(frame)
    return { type: 'invoke', invocationId, event: readName('event', event), payload }
  } catch (error) {
    return { type: 'bad', ackId: undefined, invocationId, name: 'BadRequest', why: (error as Error).message }
  }
}

/** Reads a client's frame as JSON. Throws as `readMembers()` does. */
export const readFrame = (text: string): ReadFrame => {
  const frame = parse(text)
  if (!isRecord(frame)) throw new SyntaxError('a frame is a JSON object')
  return readMembers(frame)
}

/** Reads a client's frame as Protocol Buffers. Throws as `readMembers()` does, and a `TypeError` for text that is not UTF-8. */
export const readBinaryFrame = (bytes: Uint8Array): ReadFrame => readMembers(readBinaryRequest(bytes, parse))

/**
 * Checks the members of a client's frame. An invalid request with a usable `ackId` can be answered and is returned as `bad`. Throws a
 * `SyntaxError` for a frame that cannot be answered.
 */
const readMembers = (frame: Record<string, unknown>): ReadFrame => {
  const { type, ackId, sequenceId, invocationId } = frame
  if (type === 'ping' || type === 'endSession') return { type }
  if (type === 'cancelInvocation') {
    if (typeof invocationId !== 'string') throw new SyntaxError('invocationId must be a string')
    return { type, invocationId }
  }
  if (type === 'sequenceAck') {
    if (!isId(sequenceId)) throw new SyntaxError('sequenceId must be a whole number up to 2^53 - 1')
    return { type, sequenceId }
  }
  if (ackId !== undefined && ackId !== null && !isId(ackId)) {
    throw new SyntaxError('ackId must be a whole number up to 2^53 - 1')
  }
  const id = ackId ?? undefined
  try {
    return readRequest(frame, id)
  } catch (error) {
    if (!(error instanceof InvalidRequest)) throw error
    if (id === undefined) throw new SyntaxError(error.message)
    return { type: 'bad', ackId: id, name: 'BadRequest', why: error.message }
  }
}

/**
 * The request, or its refusal if it has more than `max` bytes. `bytes` is the length of its frame; binary data is measured without the
 * base64 around it.
 */
export const limitRequest = (request: Waiting, bytes: number, max: number): Waiting => {
  const data = 'payload' in request ? request.payload : undefined
  const size = data?.dataType === 'binary' ? data.data.length : bytes
  if (size <= max) return request
  const why = `${size} bytes, and the server accepts ${max}`
  const invocationId = 'invocationId' in request ? request.invocationId : undefined
  return { type: 'bad', ackId: request.ackId, invocationId, name: 'TooLarge', why }
}

/**
 * Chooses the format of data: strings as text, bytes as binary, everything else as JSON. Throws a `TypeError` for data that does not fit
 * `dataType`.
 */
export const payload = (data: unknown, dataType?: DataType): Payload => {
  const bytes = (ArrayBuffer.isView(data) || data instanceof ArrayBuffer) && viewOf(data)
  const natural = typeof data === 'string' ? 'text' : bytes ? 'binary' : 'json'
  if (dataType && dataType !== natural && !(dataType === 'json' && natural === 'text')) {
    throw new TypeError(`this data cannot be sent as ${dataType}`)
  }
  if (bytes) return { dataType: 'binary', data: bytes }
  if (typeof data === 'string' && dataType !== 'json') return { dataType: 'text', data }
  if (data === undefined || typeof data === 'function' || typeof data === 'symbol') {
    throw new TypeError(
      `JSON cannot represent a ${typeof data}: send a string, bytes, or a value that JSON.stringify accepts`,
    )
  }
  return { dataType: 'json', data }
}

export const ackFrame = (ackId: number, error?: { name: string; message: string }): NoticeFrame =>
  error ? { type: 'ack', ackId, success: false, error } : { type: 'ack', ackId, success: true }

/** The answer to an invocation. Its data, if there is any, is encoded separately. */
export const invokeResponse = (
  invocationId: string,
  error: { name: string; message: string } | undefined,
): InvokeResponseFrame => ({ type: 'invokeResponse', invocationId, success: !error, error })

/** The features that clients of this package use, and others ignore. */
const FEATURES: readonly Feature[] = ['endSession', 'resumeProtocol']

/** `hasIds`: whether the store remembers the ids of messages. */
export const connectedFrame = (
  { id: connectionId, userId }: { readonly id: string; readonly userId: string | undefined },
  reconnectionToken: string,
  sequenceId: number,
  hasIds: boolean,
): NoticeFrame => ({
  type: 'system',
  event: 'connected',
  connectionId,
  reconnectionToken,
  userId,
  sequenceId,
  features: hasIds ? [...FEATURES, 'messageIds'] : FEATURES,
})

export const disconnectedFrame = (message: string): NoticeFrame => ({
  type: 'system',
  event: 'disconnected',
  message,
})

/** The client is read more slowly, and `message` says why. Clients that do not know the event ignore it. */
export const limitedFrame = (message: string): NoticeFrame => ({ type: 'system', event: 'limited', message })

/** Asks the client to move to another node. Clients that do not know the event ignore it. */
export const DRAINING: NoticeFrame = {
  type: 'system',
  event: 'draining',
  message: 'the server will be shut down',
}

export const PONG: NoticeFrame = { type: 'pong' }
