import { getEventListeners } from 'node:events'
import * as msgpack from '@msgpack/msgpack'
import { type } from 'arktype'
import fc from 'fast-check'
import * as v from 'valibot'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { json, type Schema } from '../../src/json.ts'
import { eventually } from '../support/eventually.ts'
import { fresh, settled, setup } from '../support/setup.ts'

fresh()

let reported: any[]
beforeEach(() => {
  reported = []
  vi.stubGlobal('queueMicrotask', (job: () => void) => {
    try {
      job()
    } catch (error) {
      reported.push(error)
    }
  })
  vi.stubGlobal('reportError', undefined)
  vi.spyOn(console, 'error').mockImplementation(error => reported.push(error))
})

/** An open socket, and how to deliver messages to it. */
const openSocket = () => {
  const made = setup()
  const native = made.native().accept()
  return {
    ...made,
    deliver: (data: string | ArrayBuffer) => native.send(data),
    sent: native.received,
    native,
  }
}

/** `json()` over such a socket, and its events in order. */
const recordedValues = <Value>(schema: Schema<Value> | undefined) => {
  const made = openSocket()
  const values = schema ? json(made.socket, schema) : json(made.socket)
  const eventLog: [string, any][] = []
  values.on('message', (value: unknown) => eventLog.push(['message', value]))
  values.on('invalid', invalid => eventLog.push(['invalid', invalid]))
  return { ...made, values, eventLog }
}

/** A Standard Schema with this validator. */
const schemaOf = (validate: (value: any) => any): Schema<any> => ({ '~standard': { version: 1, validate } })

/** A schema whose validator returns promises that the test resolves, in any order. */
const controlledSchema = () => {
  const answers = new Map<unknown, { resolve: (result: any) => void; reject: (reason: unknown) => void }>()
  const schema = schemaOf(value => new Promise((resolve, reject) => answers.set(value, { resolve, reject })))
  const answer = (value: unknown) => answers.get(value)?.resolve({ value })
  const refuse = (value: unknown, reason: unknown) => answers.get(value)?.reject(reason)
  return { schema, answers, answer, refuse }
}

const buffer = (bytes: Uint8Array): ArrayBuffer => bytes.slice().buffer as ArrayBuffer

describe('a text message of json()', () => {
  test.each(['null', '0', '""', 'false', '[]', '{"a":[1,{"b":null}]}', ' "héllo 😀" '])(
    '%s is dispatched as its value during the event of the socket',
    text => {
      const { deliver, eventLog } = recordedValues(undefined)
      deliver(text)
      expect(eventLog).toEqual([['message', JSON.parse(text)]])
    },
  )

  test.each(['', 'hello', '{"a":', 'undefined', 'NaN', "{'a':1}"])(
    '%j, which is not JSON, is invalid, with the whole text and the reason',
    text => {
      const { deliver, eventLog } = recordedValues(z.unknown())
      deliver(text)
      const [[kind, invalid]] = eventLog as [[string, any]]
      expect(kind).toBe('invalid')
      expect(invalid).toEqual({
        text,
        issues: [{ message: invalid.issues[0].cause.message, cause: expect.any(SyntaxError) }],
      })
      expect(reported).toEqual([])
    },
  )

  test('that is invalid does not stop later messages', () => {
    const { deliver, eventLog } = recordedValues(undefined)
    for (const text of ['1', '{', '2']) deliver(text)
    expect(eventLog.map(([kind]) => kind)).toEqual(['message', 'invalid', 'message'])
  })

  test('may have __proto__ as the key of an ordinary property', () => {
    const { deliver, eventLog } = recordedValues(undefined)
    deliver('{"__proto__":{"admin":true}}')
    expect(Object.keys(eventLog[0]?.[1])).toEqual(['__proto__'])
    expect(eventLog[0]?.[1].admin).toBeUndefined()
  })

  test('also reaches the socket’s own listeners', () => {
    const { deliver, heard } = recordedValues(undefined)
    deliver('{')
    deliver('1')
    expect(heard('text')).toEqual(['{', '1'])
  })

  test('is not made of a binary message, which without a codec is left to the socket’s own listeners', () => {
    const { deliver, heard, eventLog } = recordedValues(undefined)
    deliver(new ArrayBuffer(3))
    expect(heard('binary')).toEqual([new ArrayBuffer(3)])
    expect(eventLog).toEqual([])
  })
})

describe('JSON that the server sends as binary', () => {
  const bytesOf = (text: string) => new TextEncoder().encode(text).buffer as ArrayBuffer
  const issues = [
    {
      message: 'JSON sent as binary: have the server send a string, or pass a codec',
      cause: expect.any(TypeError),
    },
  ]

  test('is invalid, with its text and a message that names the mistake, in the order of arrival', () => {
    const { deliver, heard, eventLog } = recordedValues(undefined)
    deliver('1')
    deliver(bytesOf('{"a":1}'))
    deliver('2')
    expect(eventLog).toEqual([
      ['message', 1],
      ['invalid', { text: '{"a":1}', issues }],
      ['message', 2],
    ])
    expect(heard('binary')).toHaveLength(1)
  })

  test('is invalid also on a socket of Blobs', async () => {
    const { socket, native } = setup({ binaryType: 'blob' })
    native().accept()
    const eventLog: unknown[] = []
    json(socket).on('invalid', invalid => eventLog.push(invalid))
    native().send(bytesOf('[1]'))
    native().send(Uint8Array.of(1, 2, 3))
    vi.useRealTimers()
    await eventually(() => expect(eventLog).toEqual([{ text: '[1]', issues }]))
  })

  test('is reported if there is no listener for invalid', () => {
    const { deliver, socket } = openSocket()
    json(socket).on('message', () => {})
    deliver(bytesOf('{"a":1}'))
    expect(reported).toEqual([
      expect.objectContaining({
        message: expect.stringMatching(/^on\('invalid'\) has no listener: JSON sent as binary/),
      }),
    ])
  })

  test.each(['1', '"text"', 'null!', '{"a":', 'not JSON'])('is not confused with the bytes of %j', text => {
    const { deliver, eventLog } = recordedValues(undefined)
    deliver(bytesOf(text))
    expect(eventLog).toEqual([])
  })

  test('is decoded by a codec', () => {
    const { deliver, socket } = openSocket()
    const values = json(socket, undefined, {
      encode: () => '',
      decode: bytes => JSON.parse(new TextDecoder().decode(bytes)),
    })
    const received: unknown[] = []
    values.on('message', value => received.push(value))
    deliver(bytesOf('{"a":1}'))
    expect(received).toEqual([{ a: 1 }])
  })
})

const past = '2020-01-01T00:00:00.000Z'

// Each schema converts { at: ISO date string } to { at: Date }.
const read = (at: string) => new Date(at)
const SYNC: [string, Schema<{ at: Date }>][] = [
  ['zod', z.object({ at: z.coerce.date() })],
  ['valibot', v.object({ at: v.pipe(v.string(), v.isoTimestamp(), v.transform(read)) })],
  ['arktype', type({ at: 'string.date.iso.parse' })],
]
const ASYNC: [string, Schema<{ at: Date }>][] = [
  ['zod', z.object({ at: z.iso.datetime().transform(async at => read(at)) })],
  [
    'valibot',
    v.objectAsync({
      at: v.pipeAsync(
        v.string(),
        v.isoTimestamp(),
        v.transformAsync(async at => read(at)),
      ),
    }),
  ],
  // arktype has no asynchronous validators, so its validator is wrapped.
  [
    'arktype',
    schemaOf(async value => type({ at: 'string.date.iso.parse' })['~standard'].validate(value)) as Schema<{
      at: Date
    }>,
  ],
]

describe.each([
  ['synchronous', SYNC],
  ['asynchronous', ASYNC],
])('a %s schema', (how, schemas) => {
  test.each(schemas)('of %s gives listeners its output, or its issues with their path', async (_, schema) => {
    const { deliver, eventLog } = recordedValues(schema)
    const wrong = '{"at":"yesterday"}'
    deliver(`{"at":"${past}"}`)
    deliver(wrong)
    expect(eventLog.length).toBe(how === 'synchronous' ? 2 : 0)
    await settled()
    expect(eventLog[0]).toEqual(['message', { at: new Date(past) }])
    const [kind, { text, issues }] = eventLog[1] as [string, any]
    const [{ message, path }] = issues
    expect([kind, text, message]).toEqual(['invalid', wrong, expect.stringMatching(/./)])
    expect(path[0].key ?? path[0]).toBe('at')
    expect(eventLog.length).toBe(2)
  })
})

describe('the order of messages in json()', () => {
  test('is kept when a later message is validated sooner', async () => {
    const { schema, answers, answer } = controlledSchema()
    const { deliver, eventLog } = recordedValues(schema)
    for (const text of ['1', '2', '3']) deliver(text)
    // The validator is called for all at once.
    expect([...answers.keys()]).toEqual([1, 2, 3])
    answer(3)
    answer(2)
    await settled()
    expect(eventLog).toEqual([])
    answer(1)
    await settled()
    expect(eventLog.map(([, value]) => value)).toEqual([1, 2, 3])
  })

  test('is kept when some validators are synchronous and others are not, and afterwards dispatch is synchronous again', async () => {
    const { schema, answer } = controlledSchema()
    const mixed = schemaOf(value => (value > 1 ? { value } : schema['~standard'].validate(value)))
    const { deliver, eventLog } = recordedValues(mixed)
    deliver('1')
    deliver('2')
    deliver('{')
    await settled()
    expect(eventLog).toEqual([])
    answer(1)
    await settled()
    expect(eventLog.map(([kind]) => kind)).toEqual(['message', 'message', 'invalid'])
    deliver('3')
    expect(eventLog[3]).toEqual(['message', 3])
  })

  test('is the same for all listeners when a message arrives while another is being dispatched', async () => {
    const { schema, answer } = controlledSchema()
    const { deliver, socket } = openSocket()
    const values = json(
      socket,
      schemaOf(value => (value > 1 ? { value } : schema['~standard'].validate(value))),
    )
    const heard: string[] = []
    values.on('message', value => {
      if (value === 1) deliver('2')
    })
    values.on('message', value => heard.push(`first ${value}`))
    values.on('message', value => heard.push(`second ${value}`))
    deliver('1')
    answer(1)
    await settled()
    expect(heard).toEqual(['first 1', 'second 1', 'first 2', 'second 2'])
  })

  test('is kept in any mixture of validators, each message once and none missing', async () => {
    const kinds = fc.constantFrom('now', 'wrong', 'later', 'refused', 'throws', 'no JSON')
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ kind: kinds, rounds: fc.nat(5), pause: fc.boolean() }), { maxLength: 20 }),
        async messages => {
          const { deliver, eventLog } = recordedValues(
            schemaOf(({ kind, rounds, i }) => {
              if (kind === 'throws') throw new Error(`${i}`)
              if (kind === 'now') return { value: i }
              if (kind === 'wrong') return { issues: [{ message: `${i}` }] }
              const wait = async () => {
                for (let round = 0; round < rounds; round++) await undefined
                if (kind === 'refused') throw new Error(`${i}`)
                return { value: i }
              }
              return wait()
            }),
          )
          for (const [i, { kind, rounds, pause }] of messages.entries()) {
            deliver(kind === 'no JSON' ? `${i}!` : JSON.stringify({ kind, rounds, i }))
            if (pause) await undefined
          }
          await settled()
          const seen = eventLog.map(([kind, payload]) => {
            if (kind === 'message') return payload
            return payload.text.endsWith('!') ? Number.parseInt(payload.text, 10) : JSON.parse(payload.text).i
          })
          expect(seen).toEqual([...messages.keys()])
          const good = messages.map(({ kind }) => kind === 'now' || kind === 'later')
          expect(eventLog.map(([kind]) => kind === 'message')).toEqual(good)
          deliver('{"kind":"now","i":-1}')
          expect(eventLog.at(-1)).toEqual(['message', -1])
        },
      ),
    )
  })

  test('is kept for messages that are validated after the socket has closed', async () => {
    const { schema, answer, refuse } = controlledSchema()
    const { deliver, eventLog, socket, native } = recordedValues(schema)
    for (const text of ['1', '2', '3']) deliver(text)
    socket.close()
    native.close(1000)
    refuse(2, new Error('too late'))
    answer(3)
    answer(1)
    await settled()
    expect(socket.state.name).toBe('closed')
    expect(eventLog.map(([kind, payload]) => [kind, payload.text ?? payload])).toEqual([
      ['message', 1],
      ['invalid', '2'],
      ['message', 3],
    ])
  })
})

describe('a validator of json()', () => {
  const reason = new Error('no database')
  test.each<[string, (value: unknown) => any, unknown, string]>([
    [
      'throws',
      () => {
        throw reason
      },
      reason,
      'no database',
    ],
    [
      'rejects',
      async () => {
        throw reason
      },
      reason,
      'no database',
    ],
    ['rejects with nothing', () => Promise.reject(), undefined, 'failed'],
    [
      'throws an object without a message',
      () => {
        throw Object.create(null)
      },
      Object.create(null),
      'failed',
    ],
  ])(
    'that %s makes the message invalid, with the reason, and does not stop later messages',
    async (_, fail, cause, message) => {
      const { deliver, eventLog } = recordedValues(schemaOf(value => (value === 1 ? fail(value) : { value })))
      deliver('1')
      deliver('2')
      await settled()
      expect(eventLog).toEqual([
        ['invalid', { text: '1', issues: [{ message, cause }] }],
        ['message', 2],
      ])
    },
  )

  test.each([
    ['at once', () => undefined],
    ['later', async () => undefined],
  ])('that returns nothing, %s, makes the message invalid', async (_, validate) => {
    const { deliver, eventLog } = recordedValues(schemaOf(validate))
    deliver('1')
    await settled()
    expect(eventLog).toEqual([
      ['invalid', { text: '1', issues: [expect.objectContaining({ cause: expect.any(TypeError) })] }],
    ])
  })

  test('may return any thenable', async () => {
    class Later {
      // biome-ignore lint/suspicious/noThenProperty: the point of the test
      then(resolve: (result: unknown) => void) {
        resolve({ value: 'later' })
      }
    }
    const { deliver, eventLog } = recordedValues(schemaOf(() => new Later()))
    deliver('1')
    await settled()
    expect(eventLog).toEqual([['message', 'later']])
  })

  test('is called as a method of its own object', () => {
    const standard = {
      version: 1 as const,
      seen: [] as unknown[],
      validate(value: unknown) {
        this.seen.push(value)
        return { value }
      },
    }
    const { deliver } = recordedValues({ '~standard': standard })
    deliver('1')
    expect(standard.seen).toEqual([1])
  })

  test('must belong to a Standard Schema, or json() throws a TypeError', () => {
    const { socket } = openSocket()
    const schema = { parse: JSON.parse } as any
    expect(() => json(socket, schema)).toThrow(new TypeError('json() needs a Standard Schema'))
  })
})

test('json() throws a TypeError for anything but a socket', () => {
  const needed = new TypeError('json() needs a socket')
  expect(() => json('wss://push.test' as any)).toThrow(needed)
  expect(() => json({} as any)).toThrow(needed)
})

describe('an invalid message of json() without a listener', () => {
  test('is reported with its text and issues, and does not end the process', () => {
    const { deliver, socket } = openSocket()
    const listener = vi.fn()
    json(socket, z.number()).on('message', listener)
    deliver('"one"')
    expect(reported).toEqual([expect.any(TypeError)])
    expect(reported[0]).toMatchObject({ text: '"one"', issues: [{ path: [] }] })
    expect(reported[0].message).toMatch(/^on\('invalid'\) has no listener: .*expected number/)
    expect(listener).not.toHaveBeenCalled()
  })

  test('is reported with reportError() where there is one', () => {
    const report = vi.fn()
    vi.stubGlobal('reportError', report)
    const { deliver, socket } = openSocket()
    json(socket, z.number()).on('message', () => {})
    deliver('"one"')
    expect(report).toHaveBeenCalledOnce()
    expect(reported).toEqual([])
  })

  test('is reported even if the list of issues is empty', () => {
    const { deliver, socket } = openSocket()
    json(
      socket,
      schemaOf(() => ({ issues: [] })),
    ).on('message', () => {})
    deliver('1')
    expect(reported).toHaveLength(1)
  })

  test('is not reported if a listener was called, even one that is called once', () => {
    const { deliver, socket } = openSocket()
    const values = json(socket)
    values.on('message', () => {})
    values.on('invalid', () => {}, { once: true })
    deliver('{')
    expect(reported).toEqual([])
    deliver('{')
    expect(reported).toHaveLength(1)
  })

  test('is not reported if all listeners were removed', async () => {
    const { schema, refuse } = controlledSchema()
    const { deliver, socket } = openSocket()
    const leave = json(socket, schema).on('message', () => {})
    deliver('1')
    leave()
    refuse(1, new Error('no'))
    await settled()
    expect(reported).toEqual([])
  })
})

describe('listeners of json()', () => {
  /** A socket, and the number of its listeners for text and binary messages without those of the test. */
  const watched = () => {
    const { socket, deliver } = openSocket()
    const here = { text: new Set(), binary: new Set() } as Record<string, Set<unknown>>
    const watch = {
      ...socket,
      on: (type: any, listener: any) => {
        here[type]?.add(listener)
        return socket.on(type, listener)
      },
      off: (type: any, listener: any) => {
        here[type]?.delete(listener)
        socket.off(type, listener)
      },
    }
    return { socket: watch, deliver, listeners: () => [here.text?.size, here.binary?.size] }
  }

  test('share one decoding and validation of each message', () => {
    const { deliver, socket } = openSocket()
    const validate = vi.fn(value => ({ value }))
    const values = json(socket, schemaOf(validate))
    const listeners = [vi.fn(), vi.fn(), vi.fn()]
    for (const listener of listeners) values.on('message', listener)
    values.on('invalid', () => {})
    deliver('1')
    expect(validate).toHaveBeenCalledTimes(1)
    for (const listener of listeners) expect(listener.mock.calls).toEqual([[1]])
  })

  test('make json() listen to the socket only while there are any', () => {
    const { socket, listeners, deliver } = watched()
    const values = json(socket, undefined, msgpack)
    expect(listeners()).toEqual([0, 0])
    const controller = new AbortController()
    const stop = values.on('message', () => {})
    values.on('message', () => {})()
    values.on('invalid', () => {}, { signal: controller.signal })
    expect(listeners()).toEqual([1, 1])
    stop()
    expect(listeners()).toEqual([1, 1])
    controller.abort()
    expect(listeners()).toEqual([0, 0])
    const heard = vi.fn()
    values.on('message', heard, { once: true })
    deliver('1')
    expect([heard.mock.calls, ...listeners()]).toEqual([[[1]], 0, 0])
  })

  test('that are added twice are called once, with the options of the first time', () => {
    const { deliver, socket } = openSocket()
    const values = json(socket)
    const listener = vi.fn()
    values.on('message', listener)
    values.on('message', listener, { once: true })
    deliver('1')
    deliver('2')
    expect(listener.mock.calls).toEqual([[1], [2]])
    values.off('message', listener)
    deliver('3')
    expect(listener).toHaveBeenCalledTimes(2)
  })

  test('can listen to both events, and be removed from one', () => {
    const { deliver, socket } = openSocket()
    const values = json(socket)
    const listener = vi.fn()
    const leave = values.on('message', listener)
    values.on('invalid', listener)
    leave()
    deliver('1')
    deliver('{')
    expect(listener.mock.calls).toEqual([[expect.objectContaining({ text: '{' })]])
  })

  test('with once are removed before they are called', () => {
    const { deliver, socket } = openSocket()
    const values = json(socket)
    const heard: unknown[] = []
    const again = (value: unknown) => {
      heard.push(value)
      if (value === 1) values.on('message', again, { once: true })
    }
    values.on('message', again, { once: true })
    for (const text of ['1', '2', '3']) deliver(text)
    expect(heard).toEqual([1, 2])
  })

  test('with a signal are removed when it is aborted, not added if it was, and leave nothing on it', () => {
    const { deliver, socket } = openSocket()
    const values = json(socket)
    const controller = new AbortController()
    const { signal } = controller
    const listener = vi.fn()
    values.on('message', listener, { signal, once: true })
    deliver('1')
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
    values.on('message', listener, { signal })
    controller.abort()
    values.on('message', listener, { signal })
    deliver('2')
    expect(listener.mock.calls).toEqual([[1]])
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })

  test('that an earlier listener removes are not called, and those that it adds are called from the next message on', () => {
    const { deliver, socket } = openSocket()
    const values = json(socket)
    const [late, gone] = [vi.fn(), vi.fn()]
    values.on('message', () => {
      values.off('message', gone)
      values.on('message', late)
    })
    values.on('message', gone)
    deliver('1')
    deliver('2')
    expect(gone).not.toHaveBeenCalled()
    expect(late.mock.calls).toEqual([[2]])
  })

  test('that throw are reported, and the others still run', async () => {
    const { schema, answer } = controlledSchema()
    const { deliver, eventLog, values } = recordedValues(
      schemaOf(value => (value === 1 ? schema['~standard'].validate(1) : { value })),
    )
    const broken = () => {
      throw new Error('broken')
    }
    values.on('message', broken)
    values.on('invalid', broken)
    const last = vi.fn()
    values.on('message', last)
    for (const text of ['1', '2', '{']) deliver(text)
    answer(1)
    await settled()
    deliver('3')
    expect(last.mock.calls).toEqual([[1], [2], [3]])
    expect(eventLog.map(([kind]) => kind)).toEqual(['message', 'message', 'invalid', 'message'])
    expect(reported.map(({ message }) => message)).toEqual(['broken', 'broken', 'broken', 'broken'])
  })

  test('must be functions, for one of the two events, or on() throws a TypeError', () => {
    const { socket } = openSocket()
    const { on } = json(socket) as any
    const unknown = new TypeError("There is no event 'text', only message, invalid")
    const uncallable = new TypeError("The listener for 'message' must be a function")
    expect(() => on('text', () => {})).toThrow(unknown)
    expect(() => on('message')).toThrow(uncallable)
    expect(() => on('message', { handleEvent() {} })).toThrow(uncallable)
  })
})

describe('send() of json()', () => {
  test.each([null, 0, '', 'héllo', false, [1, [2]], { a: { b: null } }])('sends %j as JSON', value => {
    const { socket, sent } = openSocket()
    expect(json(socket).send(value)).toBe('sent')
    expect(sent).toEqual([JSON.stringify(value)])
  })

  test('has the results and options of the socket’s send()', () => {
    const { socket, native, heard } = setup()
    const { send } = json(socket)
    expect(send({ bid: 1 }, { key: 'EURUSD' })).toBe('queued')
    expect(send({ bid: 2 }, { key: 'EURUSD' })).toBe('queued')
    expect(send('now', { volatile: true })).toBe('dropped')
    expect(heard('drop')).toEqual([
      { data: '{"bid":1}', reason: 'replaced' },
      { data: '"now"', reason: 'volatile' },
    ])
    native().accept()
    expect(native().received).toEqual(['{"bid":2}'])
  })

  const cycle: any = {}
  cycle.self = { cycle }
  test.each<[string, any, RegExp]>([
    ['undefined', undefined, /^send\(\) cannot encode undefined: send null or plain data$/],
    ['a function', () => {}, /cannot encode function/],
    ['a symbol', Symbol('a'), /cannot encode symbol/],
    ['an object whose toJSON says nothing', { toJSON() {} }, /cannot encode object/],
    ['a bigint', { id: 1n }, /BigInt/],
    ['a cycle', cycle, /circular/],
  ])('throws a TypeError with the reason for %s and sends nothing', (_, value, message) => {
    const { socket, sent } = openSocket()
    const send = () => json(socket).send(value)
    expect(send).toThrow(TypeError)
    expect(send).toThrow(message)
    expect(sent).toEqual([])
  })
})

describe('a codec of json()', () => {
  const price = { symbol: 'EURUSD', bid: 1.0845, when: new Date(past), raw: Uint8Array.of(1, 2) }

  test('encodes and decodes MessagePack, with a schema', () => {
    const { socket, sent, deliver } = openSocket()
    const schema = z.object({
      symbol: z.string(),
      bid: z.number(),
      when: z.date(),
      raw: z.instanceof(Uint8Array),
    })
    const values = json(socket, schema, msgpack)
    const heard: unknown[] = []
    values.on('message', value => heard.push(value))
    values.send(price)
    const [bytes] = sent as [Uint8Array]
    expect(msgpack.decode(bytes)).toEqual(price)
    deliver(buffer(bytes))
    expect(heard).toEqual([price])
  })

  test('may return a view of a larger buffer, of which only the viewed bytes are sent, also from the queue', () => {
    const { socket, native } = setup()
    const shared = new Uint8Array(1_000)
    const values = json(socket, undefined, {
      encode(value) {
        const bytes = msgpack.encode(value)
        shared.fill(0xff).set(bytes, 100)
        return shared.subarray(100, 100 + bytes.length)
      },
      decode: msgpack.decode,
    })
    values.send({ n: 1 })
    values.send({ n: 2 })
    native().accept()
    values.send({ n: 3 })
    const seen = native().received.map(data => msgpack.decode(data as Uint8Array))
    expect(seen).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
  })

  test('makes bytes invalid that it cannot decode or that do not match the schema', () => {
    const { socket, deliver } = openSocket()
    const values = json(socket, z.number(), msgpack)
    const invalid: any[] = []
    values.on('invalid', one => invalid.push(one))
    const own: unknown[] = []
    socket.on('binary', data => own.push(data))
    const [broken, wrong] = [buffer(Uint8Array.of(0xc1)), buffer(msgpack.encode('one'))]
    deliver(broken)
    deliver(wrong)
    expect(invalid.map(({ data }) => data)).toEqual([broken, wrong])
    expect(invalid[0].data).toBe(own[0])
    expect(invalid.map(one => 'text' in one)).toEqual([false, false])
    expect(invalid[0].issues[0].message).toMatch(/type byte: 0xc1/)
    expect(invalid[1].issues[0].message).toMatch(/expected number/)
  })

  test('leaves text to JSON, in one order with binary messages', async () => {
    const { schema, answer } = controlledSchema()
    const { socket, deliver } = openSocket()
    const values = json(socket, schema, msgpack)
    const heard: unknown[] = []
    values.on('message', value => heard.push(value))
    deliver('1')
    deliver(buffer(msgpack.encode(2)))
    deliver('3')
    for (const n of [3, 2, 1]) answer(n)
    await settled()
    expect(heard).toEqual([1, 2, 3])
  })

  test('is called as methods of its own object', () => {
    class Counting {
      count = 0
      encode(_value: string) {
        return Uint8Array.of(++this.count)
      }
      decode(data: ArrayBuffer) {
        return data.byteLength + this.count
      }
    }
    const { socket, sent, deliver } = openSocket()
    const values = json(socket, undefined, new Counting())
    const heard: unknown[] = []
    values.on('message', value => heard.push(value))
    values.send('a')
    deliver(new ArrayBuffer(4))
    expect([(sent[0] as Uint8Array)[0], heard]).toEqual([1, [5]])
  })

  test('is called with one argument', () => {
    const { socket, deliver } = openSocket()
    const codec = { encode: vi.fn(() => 'x'), decode: vi.fn(() => 1) }
    const values = json(socket, undefined, codec)
    values.on('message', () => {})
    values.send(1 as never, { ttl: 5 })
    deliver(new ArrayBuffer(1))
    expect([codec.encode.mock.calls, codec.decode.mock.calls]).toEqual([[[1]], [[new ArrayBuffer(1)]]])
  })

  test('that throws makes send() throw the same error and send nothing', () => {
    const { socket, sent } = openSocket()
    expect(() => json(socket, undefined, msgpack).send(() => {})).toThrow(/Unrecognized object/)
    expect(sent).toEqual([])
  })
})
