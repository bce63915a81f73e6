// Encodes and decodes the frames of a connection, in the format of its subprotocol.
import { PROTOBUF, splitFrame } from '../protobuf/data.js'
import {
  messageFields,
  type NoticeFrame,
  writeNotice,
  writeMessage as writeProtobuf,
} from '../protobuf/messages.js'
import type { Pieces } from '../protobuf/wire.js'
import { type EncodedData, encode, type InvokeResponseFrame, PROTOCOL } from '../reliable/frames.js'
import { bytesOf } from './bytes.js'
import { type ReadFrame, readBinaryFrame, readFrame } from './frames.js'
import { BinaryMessage } from './message.js'
import type { StoredFrame, StoredMessage } from './store.js'

/** A WebSocket message, as `ws` passes it on. */
export interface RawMessage {
  readonly data: { readonly length: number }
  readonly isBinary: boolean
}

/** A frame from the server that is not a message. */
export type ReplyFrame = NoticeFrame | InvokeResponseFrame

/** The format of the frames of a subprotocol. */
export interface Format {
  /** Reads a client's frame. Throws if the frame cannot be answered. The error does not quote the frame. */
  read(message: RawMessage): ReadFrame
  /** Encodes a frame that is not a message. `data`: the data of an answer to an invocation. */
  write(frame: ReplyFrame, data?: EncodedData | ''): string | Uint8Array
  /** Encodes a message with its number. */
  writeMessage(message: StoredMessage): string | Uint8Array
}

const json: Format = {
  read({ data, isBinary }) {
    if (isBinary) throw new SyntaxError(`${PROTOCOL} has no binary messages`)
    return readFrame(String(data))
  },
  write: encode,
  writeMessage: ({ sequenceId, frame }) => `{"sequenceId":${sequenceId},${String(frame).slice(1)}`,
}

const fieldsOf = (frame: StoredFrame): Pieces => {
  const { head, data } = splitFrame(String(frame), bytesOf)
  return messageFields(head, data)
}

/** The last encoded message, because many sessions receive the same one. */
let last: { readonly frame: StoredFrame; readonly fields: Pieces } | undefined

const protobuf: Format = {
  read({ data, isBinary }) {
    if (!isBinary) throw new SyntaxError(`${PROTOBUF} has no text messages`)
    return readBinaryFrame(data as Uint8Array)
  },
  // This format has no answers to invocations. After a session has moved here from JSON, an empty frame is sent, which clients ignore.
  write: frame => (frame.type === 'invokeResponse' ? new Uint8Array() : writeNotice(frame)),
  writeMessage({ sequenceId, frame }) {
    if (frame instanceof BinaryMessage) return frame.numbered(sequenceId)
    if (last?.frame !== frame) last = { frame, fields: fieldsOf(frame) }
    return writeProtobuf(sequenceId, last.fields)
  },
}

/** The formats by their subprotocols. */
const FORMATS = new Map([
  [PROTOCOL, json],
  [PROTOBUF, protobuf],
])

/** The subprotocols of reliable sessions. */
export const PROTOCOLS: readonly string[] = [...FORMATS.keys()]

/** The format of a connection. */
export const formatOf = ({ protocol }: { readonly protocol: string }): Format => FORMATS.get(protocol) ?? json
