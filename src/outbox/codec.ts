import { decodeData, type FrameData } from '../reliable/frames.js'
import { withTimeout } from './store.js'
import type { OutboxOptions, OutboxRecord, PendingMessage } from './types.js'

/** Encodes text as UTF-8. */
export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Turns the text of a message into what is stored, and back. */
export interface Codec {
  encode(text: string): Promise<Pick<OutboxRecord, 'body' | 'size'>>
  decode(body: OutboxRecord['body']): Promise<string>
}

export const createCodec = ({ encode, decode }: OutboxOptions): Codec => ({
  async encode(text) {
    const bytes = bytesOf(text)
    if (!encode) return { body: text, size: bytes.length }
    const body = await withTimeout(encode(bytes))
    if (!ArrayBuffer.isView(body)) throw new TypeError('encode must return a Uint8Array')
    return { body, size: body.byteLength }
  },
  async decode(body) {
    if (typeof body === 'string') return body
    if (!decode) throw new TypeError('The message was stored with encode, and there is no decode')
    return new TextDecoder('utf-8', { fatal: true }).decode(await withTimeout(decode(body)))
  },
})

/** Describes a message for the application. `text`: its JSON, if it could be read. */
export const describe = (
  { id, time }: Pick<OutboxRecord, 'id' | 'time'>,
  text: string | undefined,
): PendingMessage => {
  if (text === undefined) return { id, time }
  const message = JSON.parse(text)
  return { id, time, ...message, data: decodeData(message as FrameData) }
}
