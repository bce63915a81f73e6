import { describe, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { createReliableServer } from '../../src/server.ts'

describe('maxPayload of the WebSocketServer', () => {
  const make = (options: object, maxMessageBytes?: number) => {
    const wss = new WebSocketServer({ noServer: true, ...options })
    const server = createReliableServer(wss, maxMessageBytes ? { maxMessageBytes } : {})
    server.close({ timeout: 0 })
    return wss.options.maxPayload
  }

  test.each([
    ['is not given', {}],
    ['is without limit', { maxPayload: 0 }],
  ])('is set to twice maxMessageBytes if it %s', (_, options) => {
    expect(make(options)).toBe(2 ** 21)
    expect(make(options, 1_000_000)).toBe(2_000_000)
    // Room for base64 and the names around a small message.
    expect(make(options, 10)).toBe(2 ** 14)
  })

  test('is kept if it is given', () => {
    expect(make({ maxPayload: 2 ** 24 })).toBe(2 ** 24)
  })

  test('throws if it does not let a message of maxMessageBytes through', () => {
    expect(() => make({ maxPayload: 2 ** 20 })).toThrow(
      new TypeError(
        'maxPayload of the WebSocketServer is 1048576: leave it out, set it to 1402198 or more, or lower maxMessageBytes',
      ),
    )
  })
})
