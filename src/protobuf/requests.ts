// Frames from the client: the message `UpstreamMessage`. Fields with numbers from 1001 are additions, which other implementations ignore.
import { dataField, type EncodableData, readData } from './data.js'
import { type Bytes, bytes, join, type Pieces, read, text, uint, utf8 } from './wire.js'

/** The field numbers of `UpstreamMessage`, by the type of the frame. */
const FIELDS: Record<string, number> = {
  sendToGroup: 1,
  event: 5,
  joinGroup: 6,
  leaveGroup: 7,
  sequenceAck: 8,
  ping: 9,
  endSession: 1_001,
}

const members = (head: any, data: EncodableData | undefined): Pieces => {
  const { type, group, event, ackId, noEcho, messageId, sequenceId } = head
  if (type === 'sequenceAck') return uint(1, sequenceId)
  const isEvent = type === 'event'
  return [
    ...text(1, isEvent ? event : group),
    ...uint(isEvent ? 3 : 2, ackId),
    ...uint(4, noEcho ? 1 : undefined),
    ...text(1_001, messageId),
    ...dataField(isEvent ? 2 : 3, data),
  ]
}

/** Encodes a frame from the client. `head`: its members except for the data. Binary data is at the end. */
export const writeRequest = (head: any, data?: EncodableData): Bytes =>
  join(bytes(FIELDS[head.type] as number, members(head, data)))

/**
 * Decodes a frame from the client. The result has the members of the JSON frame, but the data is decoded. It is not validated further. A frame of an
 * unknown type has no `type`. Throws if the frame is malformed. `parse` parses JSON in the data.
 */
export const readRequest = (
  message: Uint8Array,
  parse: (text: string) => unknown,
): Record<string, unknown> => {
  let frame: Record<string, unknown> = {}
  read(message, {
    bytes(tag, value) {
      const type = Object.keys(FIELDS).find(type => FIELDS[type] === (tag - 2) / 8)
      // If there are several requests, the last one is used, as in every `oneof`.
      if (type) frame = readMembers(type, value, parse)
    },
  })
  return frame
}

const readMembers = (type: string, message: Uint8Array, parse: (text: string) => unknown) => {
  const isEvent = type === 'event'
  // Proto3 encoders omit empty strings and zeros.
  const frame: Record<string, unknown> =
    type === 'sequenceAck' ? { type, sequenceId: 0 } : { type, [isEvent ? 'event' : 'group']: '' }
  read(message, {
    number(tag, value) {
      if (tag === 8 && type === 'sequenceAck') frame.sequenceId = value
      else if (tag === (isEvent ? 24 : 16)) frame.ackId = value
      else if (tag === 32) frame.noEcho = !!value
    },
    bytes(tag, value) {
      if (tag === 10) frame[isEvent ? 'event' : 'group'] = utf8(value)
      else if (tag === (isEvent ? 18 : 26)) Object.assign(frame, readData(value, parse))
      else if (tag === 1_001 * 8 + 2) frame.messageId = utf8(value)
    },
  })
  return frame
}
