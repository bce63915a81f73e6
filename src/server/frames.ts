// The frames of json.reliable.webpubsub.azure.v1, as the server reads and writes them.
// https://learn.microsoft.com/azure/azure-web-pubsub/reference-json-reliable-webpubsub-subprotocol

import { base64 } from './bytes.js'

/** The subprotocol that reliable sessions speak. */
export const PROTOCOL = 'json.reliable.webpubsub.azure.v1'

/** How data travels: as JSON, as text, or as bytes (base64 on the wire). */
export type DataType = 'json' | 'text' | 'binary'

/** Data with the type that it travels as. */
export type Payload =
  | { readonly dataType: 'json'; readonly data: unknown }
  | { readonly dataType: 'text'; readonly data: string }
  | { readonly dataType: 'binary'; readonly data: Uint8Array }

/** What a client asks for, to be handled in order. Without an `ackId` it wants no answer. */
export type Request = { readonly ackId: number | undefined } & (
  | { readonly type: 'event'; readonly event: string; readonly payload: Payload }
  | { readonly type: 'joinGroup' | 'leaveGroup'; readonly group: string }
  | {
      readonly type: 'sendToGroup'
      readonly group: string
      readonly payload: Payload
      readonly noEcho: boolean
    }
  | { readonly type: 'bad'; readonly why: string }
)

export type Frame =
  | Request
  | { readonly type: 'ping' }
  | { readonly type: 'sequenceAck'; readonly sequenceId: number }

const MAX_NAME = 1_024
const MAX_DEPTH = 128

/** A request that can be answered, with "no". */
class Unfit extends Error {}

const record = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

// Larger numbers have lost digits in JSON.parse: the answer would name another message.
const isId = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

/** Whether an odd number of backslashes stands before this place. */
const isEscaped = (text: string, place: number): boolean => {
  let before = place
  while (text.charCodeAt(before - 1) === 92) before--
  return (place - before) % 2 === 1
}

/** Whether arrays and objects are nested so deep that walking them by recursion, as JSON.stringify does, may overflow the stack. */
const tooDeep = (text: string): boolean => {
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 34) {
      // Strings are most of most frames: the engine's own search skips them many times faster than a walk.
      do {
        i = text.indexOf('"', i + 1)
        if (i < 0) return false
      } while (isEscaped(text, i))
    }
    // [ and { differ in this bit alone, and so do ] and }.
    else if ((code | 32) === 123) {
      if (++depth > MAX_DEPTH) return true
    } else if ((code | 32) === 125) depth--
  }
  return false
}

/** Throws a SyntaxError that quotes nothing, for what was sent may be secret. */
const parse = (text: string): unknown => {
  if (text.length > MAX_DEPTH && tooDeep(text))
    throw new SyntaxError(`nested deeper than ${MAX_DEPTH} levels`)
  let poisoned = false
  const guard = (key: string, value: unknown) => {
    if (key === '__proto__') poisoned = true
    return value
  }
  let value: unknown
  try {
    // An escape can spell the name too. Nothing else needs the walk, which is slow.
    value = /__proto__|\\u/.test(text) ? JSON.parse(text, guard) : JSON.parse(text)
  } catch {
    throw new SyntaxError('not JSON')
  }
  // An application that merges such an object into another would change its prototype.
  if (poisoned) throw new SyntaxError('the name __proto__ is not accepted')
  return value
}

/** Throws a TypeError for what is no name of a group or event. */
export const checkName = (what: string, name: unknown): string => {
  if (typeof name === 'string' && name && name.length <= MAX_NAME) return name
  throw new TypeError(`${what} takes a name of 1 to ${MAX_NAME} characters`)
}

const readName = (what: string, name: unknown): string => {
  try {
    return checkName(what, name)
  } catch (error) {
    throw new Unfit((error as Error).message)
  }
}

const readPayload = ({ dataType, data }: Record<string, unknown>): Payload => {
  if (data === undefined) throw new Unfit('data is missing')
  if (dataType === 'json') return { dataType, data }
  if (dataType !== 'text' && dataType !== 'binary') throw new Unfit('dataType must be json, text or binary')
  if (typeof data !== 'string') throw new Unfit(`data of type ${dataType} must be a string`)
  if (dataType === 'text') return { dataType, data }
  try {
    const binary = atob(data)
    const bytes = new Uint8Array(binary.length)
    // Uint8Array.from() would walk the string as an iterable, which takes thirty times as long.
    for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i)
    return { dataType, data: bytes }
  } catch {
    throw new Unfit('binary data must be base64')
  }
}

const readRequest = (frame: Record<string, unknown>, ackId: number | undefined): Request => {
  const { type, event, group, noEcho = false } = frame
  switch (type) {
    case 'event':
      return { type, ackId, event: readName('event', event), payload: readPayload(frame) }
    case 'joinGroup':
    case 'leaveGroup':
      return { type, ackId, group: readName('group', group) }
    case 'sendToGroup':
      if (typeof noEcho !== 'boolean') throw new Unfit('noEcho must be true or false')
      return { type, ackId, group: readName('group', group), payload: readPayload(frame), noEcho }
    default:
      throw new Unfit('there is no such type of frame')
  }
}

/**
 * Reads a client's frame. What is wrong with a frame that has a usable `ackId` can be answered, and comes back as `bad`; a
 * SyntaxError is thrown where there is nobody to answer to.
 */
export const readFrame = (text: string): Frame => {
  const frame = parse(text)
  if (!record(frame)) throw new SyntaxError('a frame is a JSON object')
  const { type, ackId, sequenceId } = frame
  if (type === 'ping') return { type }
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
    if (!(error instanceof Unfit)) throw error
    if (id === undefined) throw new SyntaxError(error.message)
    return { type: 'bad', ackId: id, why: error.message }
  }
}

/** How data travels that was given without a type: strings as text, bytes as binary, all else as JSON. */
export const payload = (data: unknown, dataType?: DataType): Payload => {
  const bytes = ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : data instanceof ArrayBuffer && new Uint8Array(data)
  const natural = typeof data === 'string' ? 'text' : bytes ? 'binary' : 'json'
  if (dataType && dataType !== natural && !(dataType === 'json' && natural === 'text')) {
    throw new TypeError(`this data cannot travel as ${dataType}`)
  }
  if (bytes) return { dataType: 'binary', data: bytes }
  if (typeof data === 'string' && dataType !== 'json') return { dataType: 'text', data }
  if (data === undefined || typeof data === 'function' || typeof data === 'symbol') {
    throw new TypeError(`JSON has no ${typeof data}: send a string, bytes, or what JSON.stringify takes`)
  }
  return { dataType: 'json', data }
}

/** A message for a client, without the sequence number that it has yet to get. Throws what JSON.stringify throws. */
export const writeMessage = (
  { dataType, data }: Payload,
  from: { group: string; fromUserId?: string | undefined } | undefined,
): string =>
  JSON.stringify({
    type: 'message',
    from: from ? 'group' : 'server',
    ...from,
    dataType,
    data: dataType === 'binary' ? base64(data) : data,
  })

/** The message with its number, as it goes out. */
export const numbered = (sequenceId: number, message: string): string =>
  `{"sequenceId":${sequenceId},${message.slice(1)}`

export const writeAck = (ackId: number, error?: { name: string; message: string }): string =>
  JSON.stringify({ type: 'ack', ackId, success: !error, error })

export const writeSystem = (event: 'connected' | 'disconnected', more: object): string =>
  JSON.stringify({ type: 'system', event, ...more })
