// Encodes and decodes the data of frames: the message `MessageData`.
import { fromBase64 } from '../reliable/frames.js'
import { type Bytes, bytes, type Pieces, read, text, uint, utf8 } from './wire.js'

/** The subprotocol of these frames. */
// https://learn.microsoft.com/azure/azure-web-pubsub/reference-protobuf-reliable-webpubsub-subprotocol
export const PROTOBUF = 'protobuf.reliable.webpubsub.azure.v1'

/** The data of a frame before it is encoded. Data of the type `json` is already text. */
export type EncodableData =
  | { readonly dataType: 'json' | 'text'; readonly data: string }
  | { readonly dataType: 'binary'; readonly data: Uint8Array }

/**
 * Splits a JSON frame that `encode()` has created into its data and its other members. Nothing before the data contains the mark, because JSON
 * escapes quotation marks in strings.
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

/** Encodes the data of a frame as a field. JSON is text with `is_json`, which other implementations ignore. */
export const dataField = (field: number, data: EncodableData | undefined): Pieces => {
  if (!data) return []
  if (data.dataType === 'binary') return bytes(field, bytes(2, [data.data]))
  return bytes(field, [...text(1, data.data), ...uint(1_001, data.dataType === 'json' ? 1 : undefined)])
}

/** The decoded data of a frame. `protobuf` is a message of the type `google.protobuf.Any`. */
export type ReadData =
  | { readonly dataType: 'json'; readonly data: unknown }
  | { readonly dataType: 'text'; readonly data: string }
  | { readonly dataType: 'binary' | 'protobuf'; readonly data: Bytes }

/** Decodes `MessageData`. Binary data is copied. `parse` parses JSON. Without data, the result is an empty object. */
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
