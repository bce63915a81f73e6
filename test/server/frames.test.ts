// The optimized functions for frames give the same results as simple ones.
import { describe, expect, test } from 'vitest'
import { payload, readFrame } from '../../src/server/frames.ts'
import { type BinaryMessage, sizeOf, writeMessage } from '../../src/server/message.ts'
import { extended } from '../protobuf/schema.ts'

const event = (data: unknown) => JSON.stringify({ type: 'event', event: 'e', dataType: 'json', data })
const nested = (levels: number, inmost: unknown) => {
  let value = inmost
  for (let i = 0; i < levels; i++) value = [value]
  return value
}

describe('the depth check of frames', () => {
  test.each([
    '[['.repeat(200),
    '"['.repeat(200),
    '\\"['.repeat(200),
    `${'\\'.repeat(201)}[`,
    `"${'{'.repeat(200)}\\`,
  ])('does not count brackets inside strings (%#)', text => {
    expect(readFrame(event({ [text]: text, after: text }))).toMatchObject({ type: 'event' })
  })

  test.each(['', '"', '\\', '\\"', '\\\\', '\\\\"'])('counts brackets after the string %j', text => {
    expect(readFrame(event([text, nested(126, text)]))).toMatchObject({ type: 'event' })
    expect(() => readFrame(event([text, nested(127, text)]))).toThrow('nested deeper than 128 levels')
  })
})

test('bytes of every value and of any length are encoded and decoded unchanged', () => {
  for (const length of [0, 1, 2, 3, 4_095, 4_096, 4_097, 70_001]) {
    const bytes = Uint8Array.from({ length }, (_, i) => i & 255)
    const frame = writeMessage(payload(bytes), { group: 'ä"', fromUserId: 'u' })
    // The limits of a session count it in every store as the JSON frame that it can become.
    expect(sizeOf(frame)).toBe(Buffer.byteLength(String(frame)))
    expect(JSON.stringify({ frame })).toBe(JSON.stringify({ frame: String(frame) }))
    const written = JSON.parse(String(frame))
    expect(written.data).toBe(Buffer.from(bytes).toString('base64'))
    const read = readFrame(JSON.stringify({ ...written, type: 'event', event: 'e' }))
    expect(read).toMatchObject({ payload: { dataType: 'binary', data: bytes } })
  }
})

test('a binary message has the right number in each session, and a frame that is being sent does not change', () => {
  const data = Uint8Array.from({ length: 3_000 }, (_, i) => i & 255)
  const message = writeMessage(payload(data), { group: 'g', fromUserId: '' }) as BinaryMessage
  data.fill(0)
  const numbers = [7, 2 ** 53 - 1, 7, 1, 300]
  const frames = numbers.map(number => message.numbered(number))
  expect(frames.map(frame => extended.downstream.read(new Uint8Array(frame)).data_message)).toEqual(
    numbers.map(sequence_id => ({
      from: 'group',
      group: 'g',
      from_user_id: '',
      sequence_id,
      data: { binary_data: Uint8Array.from({ length: 3_000 }, (_, i) => i & 255) },
    })),
  )
})
