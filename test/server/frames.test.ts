// The optimized functions for frames give the same results as simple ones.
import { describe, expect, test } from 'vitest'
import { payload, readFrame, writeMessage } from '../../src/server/frames.ts'

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
    const written = JSON.parse(writeMessage(payload(bytes), undefined))
    expect(written.data).toBe(Buffer.from(bytes).toString('base64'))
    const read = readFrame(JSON.stringify({ ...written, type: 'event', event: 'e' }))
    expect(read).toMatchObject({ payload: { dataType: 'binary', data: bytes } })
  }
})
