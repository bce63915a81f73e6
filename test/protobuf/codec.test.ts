// Compares the codec with protobufjs, in both directions.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { messageFields, readServerFrame, writeMessage, writeNotice } from '../../src/protobuf/messages.ts'
import { readRequest, writeRequest } from '../../src/protobuf/requests.ts'
import { protobuf } from '../../src/reliable-protobuf.ts'
import { byEffort } from '../support/run.ts'
import { extended, published } from './schema.ts'

const numRuns = byEffort(200, 500, 20_000)

/** Strings without lone surrogates, which UTF-8 cannot represent. A byte order mark at the start is an ordinary character. */
const string = fc.string({ unit: 'binary' })
const id = fc.oneof(fc.constantFrom(0, 1, 127, 128, 2 ** 31, 2 ** 32, 2 ** 53 - 1), fc.maxSafeNat())
const optional = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: undefined })
const blob = fc.uint8Array({ maxLength: 300 }).map(bytes => new Uint8Array(bytes))

type Data =
  | { dataType: 'text' | 'json'; data: string }
  | { dataType: 'binary'; data: Uint8Array<ArrayBuffer> }

const data: fc.Arbitrary<Data> = fc.oneof(
  fc.record({ dataType: fc.constant('text' as const), data: string }),
  fc.record({ dataType: fc.constant('json' as const), data: fc.json() }),
  fc.record({ dataType: fc.constant('binary' as const), data: blob }),
)

/** Without the members that are undefined. */
const defined = <Value>(value: Value): Value =>
  Object.fromEntries(Object.entries(value as object).filter(([, member]) => member !== undefined)) as Value

const dataOf = ({ dataType, data }: Data) =>
  dataType === 'binary'
    ? { binary_data: data }
    : { text_data: data, ...(dataType === 'json' && { is_json: true }) }

/** `readRequest()` returns parsed JSON. */
const parsed = ({ dataType, data }: Data) => ({
  dataType,
  data: dataType === 'json' ? JSON.parse(data) : data,
})

const name = (message: any) => Object.keys(message)[0] as string

/** Each request in three forms: its members and data, the object for protobufjs, and the frame that the server reads. */
const request = fc.oneof(
  fc
    .record({ event: string, ackId: optional(id), messageId: optional(string), data })
    .map(({ data, ...members }) => ({
      head: { type: 'event', ...members },
      data: data as Data | undefined,
      theirs: {
        event_message: defined({
          event: members.event,
          data: dataOf(data),
          ack_id: members.ackId,
          message_id: members.messageId,
        }),
      } as object,
    })),
  fc
    .record({
      group: string,
      ackId: optional(id),
      messageId: optional(string),
      noEcho: optional(fc.constant(true)),
      data,
    })
    .map(({ data, ...members }) => ({
      head: { type: 'sendToGroup', ...members },
      data: data as Data | undefined,
      theirs: {
        send_to_group_message: defined({
          group: members.group,
          data: dataOf(data),
          ack_id: members.ackId,
          no_echo: members.noEcho,
          message_id: members.messageId,
        }),
      },
    })),
  fc
    .record({ type: fc.constantFrom('joinGroup', 'leaveGroup'), group: string, ackId: optional(id) })
    .map(head => ({
      head,
      data: undefined,
      theirs: {
        [head.type === 'joinGroup' ? 'join_group_message' : 'leave_group_message']: defined({
          group: head.group,
          ack_id: head.ackId,
        }),
      },
    })),
  id.map(sequenceId => ({
    head: { type: 'sequenceAck', sequenceId },
    data: undefined,
    theirs: { sequence_ack_message: { sequence_id: sequenceId } },
  })),
  fc.constantFrom(
    { head: { type: 'ping' }, data: undefined, theirs: { ping_message: {} } },
    { head: { type: 'endSession' }, data: undefined, theirs: { end_session_message: {} } },
  ),
)

const NOTHING = { ping: true, endSession: true } as Record<string, true>

describe('a frame from the client', () => {
  test('is encoded and decoded compatibly with protobufjs', () => {
    fc.assert(
      fc.property(request, ({ head, data, theirs }) => {
        const bytes = writeRequest(head, data)
        expect(extended.upstream.read(bytes)).toEqual(extended.upstream.read(extended.upstream.write(theirs)))
        const members = NOTHING[head.type]
          ? { type: head.type }
          : { ...defined(head), ...(data && parsed(data)) }
        expect(readRequest(bytes, JSON.parse)).toMatchObject(members)
        expect(readRequest(extended.upstream.write(theirs), JSON.parse)).toMatchObject(members)
      }),
      { numRuns },
    )
  })

  test('is decoded by an implementation that does not know the additions', () => {
    const head = { type: 'event', event: 'e', ackId: 7, messageId: 'm' }
    const bytes = writeRequest(head, { dataType: 'json', data: '{"a":1}' })
    expect(published.upstream.read(bytes)).toEqual({
      event_message: { event: 'e', ack_id: 7, data: { text_data: '{"a":1}' } },
    })
    expect(published.upstream.read(writeRequest({ type: 'endSession' }))).toEqual({})
  })

  test('has no type if its request is unknown, and the last type if it has several requests', () => {
    expect(readRequest(new Uint8Array(), JSON.parse)).toEqual({})
    // Field 13, which Microsoft has added for streams.
    expect(readRequest(new Uint8Array([106, 0]), JSON.parse)).toEqual({})
    const both = [writeRequest({ type: 'ping' }), writeRequest({ type: 'joinGroup', group: 'g' })]
    expect(readRequest(new Uint8Array(both.flatMap(bytes => [...bytes])), JSON.parse)).toEqual({
      type: 'joinGroup',
      group: 'g',
    })
  })
})

const notice = fc.oneof(
  fc
    .record({
      ackId: id,
      success: fc.boolean(),
      error: optional(fc.record({ name: string, message: string })),
    })
    .map(members => ({
      frame: { type: 'ack' as const, ...members },
      theirs: {
        ack_message: defined({ ack_id: members.ackId, success: members.success, error: members.error }),
      } as object,
    })),
  fc
    .record({
      connectionId: fc.string({ minLength: 1 }),
      userId: optional(fc.string({ minLength: 1 })),
      reconnectionToken: optional(fc.string({ minLength: 1 })),
      sequenceId: optional(id),
      features: optional(fc.array(string, { minLength: 1, maxLength: 3 })),
    })
    .map(members => ({
      frame: { type: 'system' as const, event: 'connected' as const, ...members },
      theirs: {
        system_message: {
          connected_message: defined({
            connection_id: members.connectionId,
            user_id: members.userId,
            reconnection_token: members.reconnectionToken,
            sequence_id: members.sequenceId,
            features: members.features,
          }),
        },
      },
    })),
  fc
    .record({
      event: fc.constantFrom('disconnected' as const, 'limited' as const, 'draining' as const),
      message: string,
    })
    .map(({ event, message }) => ({
      frame: { type: 'system' as const, event, message },
      theirs: {
        system_message: {
          [`${event}_message`]: event === 'disconnected' ? { reason: message } : { message },
        },
      },
    })),
  fc.constant({ frame: { type: 'pong' as const }, theirs: { pong_message: {} } }),
)

describe('a frame from the server', () => {
  test('is encoded and decoded compatibly with protobufjs', () => {
    fc.assert(
      fc.property(notice, ({ frame, theirs }) => {
        const bytes = writeNotice(frame as any)
        expect(extended.downstream.read(bytes)).toEqual(
          extended.downstream.read(extended.downstream.write(theirs)),
        )
        expect(readServerFrame(bytes)).toMatchObject(defined(frame))
        expect(readServerFrame(extended.downstream.write(theirs))).toMatchObject(defined(frame))
      }),
      { numRuns },
    )
  })

  test('with a message is encoded and decoded compatibly with protobufjs', () => {
    const members = fc.record({
      from: fc.constantFrom('server' as const, 'group' as const),
      group: optional(string),
      fromUserId: optional(string),
    })
    fc.assert(
      fc.property(id, members, data, (sequenceId, head, data) => {
        const theirs = {
          data_message: defined({
            from: head.from,
            group: head.group,
            data: dataOf(data),
            sequence_id: sequenceId,
            from_user_id: head.fromUserId,
          }),
        }
        const bytes = writeMessage(sequenceId, messageFields(head, data))
        expect(extended.downstream.read(bytes)).toEqual(
          extended.downstream.read(extended.downstream.write(theirs)),
        )
        for (const written of [bytes, extended.downstream.write(theirs)]) {
          const { data: read, ...rest } = readServerFrame(written)
          expect(rest).toMatchObject({
            type: 'message',
            sequenceId,
            ...defined(head),
            dataType: data.dataType,
          })
          expect(read instanceof ArrayBuffer ? new Uint8Array(read) : read).toEqual(parsed(data).data)
        }
      }),
      { numRuns },
    )
  })

  test('is decoded by an implementation that does not know the additions', () => {
    const fields = messageFields(
      { from: 'group', group: 'g', fromUserId: 'u' },
      { dataType: 'json', data: '[1]' },
    )
    expect(published.downstream.read(writeMessage(3, fields))).toEqual({
      data_message: { from: 'group', group: 'g', sequence_id: 3, data: { text_data: '[1]' } },
    })
    const frame = { connectionId: 'id', sequenceId: 1, features: ['endSession'] as const }
    expect(published.downstream.read(writeNotice({ type: 'system', event: 'connected', ...frame }))).toEqual({
      system_message: { connected_message: { connection_id: 'id' } },
    })
    for (const event of ['limited', 'draining'] as const) {
      expect(published.downstream.read(writeNotice({ type: 'system', event, message: 'm' }))).toEqual({
        system_message: {},
      })
    }
  })

  test('with a message of the type Any from another service is decoded as bytes', () => {
    const any = { type_url: 'type.googleapis.com/x', value: new Uint8Array([8, 1]) }
    const bytes = published.downstream.write({
      data_message: { from: 'server', data: { protobuf_data: any } },
    })
    const { dataType, data } = readServerFrame(bytes)
    expect(dataType).toBe('binary')
    expect(new TextDecoder().decode(data)).toContain('type.googleapis.com/x')
  })
})

describe('the decoder', () => {
  const frames = [
    writeRequest(
      { type: 'event', event: 'ä', ackId: 2 ** 40, messageId: 'm' },
      { dataType: 'json', data: '{"a":[1]}' },
    ),
    writeRequest(
      { type: 'sendToGroup', group: 'g', noEcho: true },
      { dataType: 'binary', data: new Uint8Array(200) },
    ),
  ]
  const messages = [
    writeNotice({ type: 'ack', ackId: 300, success: false, error: { name: 'n', message: 'm' } }),
    writeNotice({
      type: 'system',
      event: 'connected',
      connectionId: 'c',
      reconnectionToken: 't',
      features: ['endSession'],
    }),
    writeMessage(2 ** 50, messageFields({ from: 'group', group: 'g' }, { dataType: 'text', data: 'ä' })),
  ]
  const { decode } = protobuf()
  const readers: [string, (bytes: Uint8Array<ArrayBuffer>) => unknown, Uint8Array[]][] = [
    ['server', bytes => readRequest(bytes, JSON.parse), frames],
    ['client', bytes => decode(bytes.slice().buffer), messages],
  ]
  const isError = (error: unknown) => error instanceof SyntaxError || error instanceof TypeError

  test.each(readers)(
    'throws no other error than a SyntaxError or a TypeError on the %s',
    (_, read, valid) => {
      const some = fc.oneof(
        fc.uint8Array({ maxLength: 60 }),
        // A valid frame with one byte changed.
        fc.tuple(fc.constantFrom(...valid), fc.nat(), fc.nat(255)).map(([bytes, at, value]) => {
          const changed = new Uint8Array(bytes)
          changed[at % bytes.length] = value
          return changed
        }),
      )
      let refused = 0
      fc.assert(
        fc.property(some, bytes => {
          try {
            read(new Uint8Array(bytes))
          } catch (error) {
            refused++
            expect(isError(error)).toBe(true)
          }
        }),
        { numRuns: 4 * numRuns },
      )
      expect(refused).toBeGreaterThan(0)
    },
  )

  test.each(readers)('throws on the %s if a frame is truncated at any length', (_, read, valid) => {
    for (const frame of valid) {
      expect(() => read(new Uint8Array(frame))).not.toThrow()
      // A frame without fields has an unknown type.
      for (let length = 1; length < frame.length; length++) {
        expect(() => read(new Uint8Array(frame.slice(0, length)))).toThrow()
      }
    }
  })

  test.each([
    ['a truncated number', [8, 128]],
    ['a number of eleven bytes', [8, ...Array(10).fill(255), 1]],
    ['the field number 0', [2, 0]],
    ['a field number with 30 bits', [0x82, 0x80, 0x80, 0x80, 0x80, 0x7f, 0]],
    ['a length that exceeds the frame', [10, 2, 8]],
    ['a length of more than 2^53', [10, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]],
    ['a 64-bit field with seven bytes', [9, 0, 0, 0, 0, 0, 0, 0]],
    ['a 32-bit field with three bytes', [13, 0, 0, 0]],
    ['a group', [11, 12]],
    ['an unknown wire type', [14]],
  ])('throws for %s', (_, bytes) => {
    for (const [, read] of readers) expect(() => read(new Uint8Array(bytes))).toThrow(SyntaxError)
  })

  test('throws for text that is not UTF-8', () => {
    // An event with the name 0xff.
    expect(() => readRequest(new Uint8Array([42, 3, 10, 1, 255]), JSON.parse)).toThrow(TypeError)
  })

  test('skips unknown fields of all wire types', () => {
    const unknown = [
      [0xf8, 0x7f, 1],
      [0xf9, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0],
      [0xfa, 0x7f, 2, 255, 255],
      [0xfd, 0x7f, 0, 0, 0, 0],
      // A known field with another wire type.
      [40, 1],
    ]
    const frame = [...writeRequest({ type: 'joinGroup', group: 'g', ackId: 1 })]
    for (const bytes of unknown) {
      expect(readRequest(new Uint8Array([...bytes, ...frame, ...bytes]), JSON.parse)).toEqual({
        type: 'joinGroup',
        group: 'g',
        ackId: 1,
      })
    }
  })

  test('never returns a safe integer for an id of more than 2^53 - 1', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }), large => {
        const bytes = extended.upstream.write({ join_group_message: { group: 'g', ack_id: `${large}` } })
        expect(Number.isSafeInteger(readRequest(bytes, JSON.parse).ackId)).toBe(false)
      }),
      { numRuns },
    )
  })
})

test('protobufjs decodes a ping and a pong', () => {
  expect(name(published.upstream.read(writeRequest({ type: 'ping' })))).toBe('ping_message')
  expect(name(published.downstream.read(writeNotice({ type: 'pong' })))).toBe('pong_message')
})
