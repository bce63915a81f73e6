import { expect, test } from 'vitest'
import { messages, readable, when, writable } from '../../src/stream.ts'
import { fresh, watchedSocket } from './setup.ts'

fresh()

test('a misspelt option of a stream throws a TypeError that names it and those that exist, and starts nothing', async () => {
  const { socket, listeners } = watchedSocket()
  const misspelt = { highWaterMrk: 1 } as object
  expect(() => messages(socket, misspelt)).toThrow(/no option 'highWaterMrk', only .*highWaterMark/)
  expect(() => readable(socket, misspelt)).toThrow(/no option 'highWaterMrk', only .*highWaterMark/)
  expect(() => writable(socket, misspelt)).toThrow(/no option 'highWaterMrk', only .*highWaterMark/)
  await expect(when(socket, 'text', { sginal: 1 } as object)).rejects.toThrow(
    /no option 'sginal', only signal/,
  )
  expect(listeners()).toBe(0)
})

test('an overflow that does not exist, or drops messages without onDrop, throws a TypeError', () => {
  const { socket, listeners } = watchedSocket()
  expect(() => messages(socket, { overflow: 'drop-old' } as object)).toThrow(TypeError)
  expect(() => messages(socket, { overflow: 'drop-oldest' } as object)).toThrow(/onDrop/)
  expect(listeners()).toBe(0)
})
