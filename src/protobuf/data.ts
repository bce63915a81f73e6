// The data of a frame: the message `MessageData`, and the JSON frames that it comes from.
import { fromBase64 } from '../reliable/frames.js'
import { type Bytes, bytes, type Pieces, read, text, uint, utf8 } from './wire.js'

/** The subprotocol whose frames these are. */
// https://learn.microsoft.com/azure/azure-web-pubsub/reference-protobuf-reliable-webpubsub-subprotocol
export const PROTOBUF = 'protobuf.reliable.webpubsub.azure.v1'

/** The data of a frame, ready to be encoded. That of the type `json` is text. */
export type EncodableData =
  | { readonly dataType: 'json' | 'text'; readonly data: string }
  | { readonly dataType: 'binary'; readonly data: Uint8Array }

/**
 * Splits a frame that `encode()` has written into its members and its data. No name or value before the data contains the mark, because JSON
 * escapes quotation marks.
 */
export const splitFrame = (
  frame: string,
  decode: (base64: string) => Uint8Array = fromBase64,
): { head: any; data: EncodableData | undefined } => {
  const mark = ',"dataType":"'
  const at = frame.indexOf(mark)
  if (at < 0) return { head: JSON.parse(frame), data: undefined }
  const start = at + mark.length
  const end = frame.indexOf('"', start)
  const dataType = frame.slice(start, end)
  const json = frame.slice(end + '","data":'.length, -1)
  const head = JSON.parse(`${frame.slice(0, at)}}`)
  if (dataType === 'binary') return { head, data: { dataType, data: decode(json.slice(1, -1)) } }
  if (dataType === 'text') return { head, data: { dataType, data: JSON.parse(json) } }
  return { head, data: { dataType: 'json', data: json } }
}

/** The field with the data of a frame. JSON is text with a mark, which other implementations ignore. */
export const dataField = (field: number, data: EncodableData | undefined): Pieces => {
  if (!data) return []
  if (data.dataType === 'binary') return bytes(field, bytes(2, [data.data]))
  return bytes(field, [...text(1, data.data), ...uint(1_001, data.dataType === 'json' ? 1 : undefined)])
}

/** The data of a frame, as it was read. `protobuf` is a message of the type `google.protobuf.Any`. */
export type ReadData =
  | { readonly dataType: 'json'; readonly data: unknown }
  | { readonly dataType: 'text'; readonly data: string }
  | { readonly dataType: 'binary' | 'protobuf'; readonly data: Bytes }

/** Reads `MessageData`. The bytes are a copy. `parse`: for JSON. Without data, the result has no members. */
export const readData = (message: Uint8Array, parse: (text: string) => unknown): Partial<ReadData> => {
  let data: Partial<ReadData> = {}
  let isJson = false
  read(message, {
    number(tag, value) {
      if (tag === 1_001 * 8) isJson = !!value
    },
    bytes(tag, value) {
      if (tag === 10) data = { dataType: 'text', data: utf8(value) }
      else if (tag === 18) data = { dataType: 'binary', data: new Uint8Array(value) }
      else if (tag === 26) data = { dataType: 'protobuf', data: new Uint8Array(value) }
    },
  })
  if (isJson && data.dataType === 'text') return { dataType: 'json', data: parse(data.data as string) }
  return data
}
