// Frames from the server: the message `DownstreamMessage`. Fields with numbers from 1001 are additions, which other implementations ignore.
import type { AckFrame, ConnectedFrame, MessageFrame, ServerFrame } from '../reliable/frames.js'
import { dataField, type EncodableData, readData } from './data.js'
import { bytes, join, type Pieces, read, text, uint, utf8 } from './wire.js'

/** A frame from the server other than a message or an answer to an invocation. Answers to invocations exist only as JSON frames. */
export type NoticeFrame = Exclude<ServerFrame, { type: 'message' | 'invokeResponse' }>

const ackFields = ({ ackId, success, error }: AckFrame): Pieces => [
  ...uint(1, ackId),
  ...uint(2, success ? 1 : 0),
  ...(error ? bytes(3, [...text(1, error.name), ...text(2, error.message)]) : []),
]

const connectedFields = (frame: ConnectedFrame): Pieces => [
  ...text(1, frame.connectionId),
  ...text(2, frame.userId),
  ...text(3, frame.reconnectionToken),
  ...uint(1_001, frame.sequenceId),
  ...(frame.features ?? []).flatMap(feature => text(1_002, feature)),
]

/** For each event, its field number in `SystemMessage`, and the field number of its text. */
const SYSTEM = { disconnected: [2, 2], limited: [1_001, 1], draining: [1_002, 1] } as const

const fieldsOf = (frame: NoticeFrame): Pieces => {
  if (frame.type === 'ack') return bytes(1, ackFields(frame))
  if (frame.type === 'pong') return bytes(4, [])
  if (frame.event === 'connected') return bytes(3, bytes(1, connectedFields(frame)))
  const [field, inner] = SYSTEM[frame.event]
  return bytes(3, bytes(field, text(inner, frame.message)))
}

/** Encodes a frame from the server that is not a message. */
export const writeNotice = (frame: NoticeFrame): Uint8Array => join(fieldsOf(frame))

/** Encodes the fields of a message except for its number. They are the same for all sessions that receive it. Binary data is at the end. */
export const messageFields = (
  { from, group, fromUserId }: Pick<MessageFrame, 'from' | 'group' | 'fromUserId'>,
  data: EncodableData | undefined,
): Pieces => [
  ...text(1, from),
  ...text(2, group ?? undefined),
  ...text(1_001, fromUserId ?? undefined),
  ...dataField(3, data),
]

/** Encodes a message with its number. */
export const writeMessage = (sequenceId: number, fields: Pieces): Uint8Array =>
  join(bytes(2, [...uint(4, sequenceId), ...fields]))

/** The maximum number of bytes that `messageHead()` returns. */
export const MAX_HEAD = 16

/** Encodes the part of a message before its other fields, including its number. `size`: the number of bytes in the other fields. */
export const messageHead = (sequenceId: number, size: number): Uint8Array =>
  join(bytes(2, [...uint(4, sequenceId), { length: size }]).slice(0, -1))

/** The members of a frame that is being decoded. */
type Members = Record<string, any>

const readAck = (message: Uint8Array): Members => {
  const frame: Members = { type: 'ack', ackId: 0, success: false }
  read(message, {
    number(tag, value) {
      if (tag === 8) frame.ackId = value
      else if (tag === 16) frame.success = !!value
    },
    bytes(tag, value) {
      if (tag !== 26) return
      frame.error = { name: '', message: '' }
      read(value, {
        bytes(tag, value) {
          if (tag === 10) frame.error.name = utf8(value)
          else if (tag === 18) frame.error.message = utf8(value)
        },
      })
    },
  })
  return frame
}

const readMessage = (message: Uint8Array): Members => {
  const frame: Members = { type: 'message', sequenceId: 0 }
  read(message, {
    number(tag, value) {
      if (tag === 32) frame.sequenceId = value
    },
    bytes(tag, value) {
      if (tag === 10) frame.from = utf8(value)
      else if (tag === 18) frame.group = utf8(value)
      else if (tag === 1_001 * 8 + 2) frame.fromUserId = utf8(value)
      else if (tag === 26) Object.assign(frame, readData(value, JSON.parse))
    },
  })
  // Another service can send a message of the type `Any`. The application receives its bytes.
  if (frame.dataType === 'protobuf') frame.dataType = 'binary'
  if (frame.dataType === 'binary') frame.data = frame.data.buffer
  return frame
}

/** The events of `SystemMessage`, by the tags of their fields. */
const EVENTS: Record<number, string> = {
  10: 'connected',
  18: 'disconnected',
  8010: 'limited',
  8018: 'draining',
}

const readSystem = (message: Uint8Array): Members => {
  let frame: Members = { type: 'system' }
  read(message, {
    bytes(tag, value) {
      frame = { type: 'system', event: EVENTS[tag], ...(tag !== 10 && { message: '' }) }
      read(value, tag === 10 ? connectedVisitor(frame) : textVisitor(frame))
    },
  })
  return frame
}

const connectedVisitor = (frame: Members) => ({
  number(tag: number, value: number) {
    if (tag === 1_001 * 8) frame.sequenceId = value
  },
  bytes(tag: number, value: Uint8Array) {
    // In proto3, a string without presence is empty if it is absent.
    if (tag === 10) frame.connectionId = utf8(value) || undefined
    else if (tag === 18) frame.userId = utf8(value) || undefined
    else if (tag === 26) frame.reconnectionToken = utf8(value) || undefined
    else if (tag === 1_002 * 8 + 2) frame.features = [...(frame.features ?? []), utf8(value)]
  },
})

const textVisitor = (frame: Members) => ({
  bytes(tag: number, value: Uint8Array) {
    if (tag === (frame.event === 'disconnected' ? 18 : 10)) frame.message = utf8(value)
  },
})

/**
 * Decodes a frame from the server. The result has the members of the JSON frame, but binary data is an `ArrayBuffer`. A frame of an unknown
 * type has the type `''`, and must be ignored. Throws if the frame is malformed.
 */
export const readServerFrame = (message: Uint8Array): Members => {
  let frame: Members = { type: '' }
  read(message, {
    bytes(tag, value) {
      if (tag === 10) frame = readAck(value)
      else if (tag === 18) frame = readMessage(value)
      else if (tag === 26) frame = readSystem(value)
      else if (tag === 34) frame = { type: 'pong' }
    },
  })
  return frame
}
