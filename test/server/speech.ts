// Generators of messages that a client may send.
import fc from 'fast-check'
import type { ReliableServerOptions } from '../../src/server.ts'

const id = fc.oneof(
  fc.nat(50),
  fc.integer(),
  fc.double(),
  fc.constantFrom(Number.MAX_SAFE_INTEGER, -1, 2 ** 53, 1e308, null, '1', [], {}, true, undefined),
)
const word = fc.oneof(
  fc.constantFrom(
    'event',
    'joinGroup',
    'leaveGroup',
    'sendToGroup',
    'sequenceAck',
    'invoke',
    'cancelInvocation',
    'ping',
    'ack',
    'system',
    'message',
  ),
  fc.constantFrom(
    'json',
    'text',
    'binary',
    'protobuf',
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    '',
  ),
  fc.string(),
  fc.string({ unit: 'binary', maxLength: 2_000 }),
)
const value = fc.oneof(
  word,
  id,
  fc.jsonValue({ maxDepth: 6 }),
  fc.constant('AAEC'),
  fc.constant('*not base64*'),
)
const often = <T>(first: fc.Arbitrary<T>, then: fc.Arbitrary<unknown>) =>
  fc.oneof({ arbitrary: first, weight: 4 }, { arbitrary: then, weight: 1 })

/** A frame in which some fields may be invalid. */
const frame = fc.record(
  {
    type: often(word, value),
    event: often(word, value),
    group: often(fc.constantFrom('g', 'h'), value),
    dataType: often(fc.constantFrom('json', 'text', 'binary'), value),
    data: value,
    ackId: often(fc.nat(30), id),
    sequenceId: often(fc.nat(30), id),
    noEcho: often(fc.boolean(), value),
    invocationId: often(fc.constantFrom('1', '2'), value),
  },
  { requiredKeys: ['type'] },
)
const good = fc.oneof(
  fc.record({
    type: fc.constant('event'),
    event: word,
    dataType: fc.constant('json'),
    data: fc.jsonValue(),
    ackId: fc.nat(30),
  }),
  fc.record({
    type: fc.constantFrom('joinGroup', 'leaveGroup'),
    group: fc.constantFrom('g', 'h'),
    ackId: fc.nat(30),
  }),
  fc.record({
    type: fc.constant('sendToGroup'),
    group: fc.constant('g'),
    dataType: fc.constant('text'),
    data: fc.string(),
    ackId: fc.nat(30),
  }),
  fc.record({ type: fc.constant('sequenceAck'), sequenceId: fc.nat(30) }),
)
const nest = fc
  .tuple(fc.constantFrom(['[', ']'], ['{"a":', '}']), fc.nat(20_000), fc.nat(20_000))
  .map(
    ([[open = '', close = ''], up, down]) => open.repeat(up) + (open === '[' ? '' : '1') + close.repeat(down),
  )
const poison = fc.constantFrom(
  '{"__proto__":{"type":"ping"}}',
  '{"type":"event","event":"e","dataType":"json","data":{"__proto__":{"polluted":1}},"ackId":1}',
  '{"type":"event","event":"e","dataType":"json","data":[{"\\u005f_proto\\u005f_":{"polluted":1}}],"ackId":2}',
  '{"type":"ping","type":"event"}',
  '{"type":"event","event":"e","dataType":"json","data":{"constructor":{"prototype":{"polluted":1}}},"ackId":3}',
  '{"type":"event","event":"e","dataType":"text","data":"x","ackId":123456789012345678901234567890}',
  '{"type":"event","event":"e","dataType":"text","data":"x","ackId":1e999}',
  '{"type":"sequenceAck","sequenceId":-0}',
  '{"type":"sequenceAck","sequenceId":9007199254740991}',
  '\ufeff{"type":"ping"}',
  'null',
  '[]',
  '""',
  '',
)
const text = fc.oneof(
  { arbitrary: frame.map(one => JSON.stringify(one)), weight: 8 },
  { arbitrary: good.map(one => JSON.stringify(one)), weight: 6 },
  { arbitrary: fc.tuple(good, fc.nat(80)).map(([one, at]) => JSON.stringify(one).slice(0, at)), weight: 1 },
  {
    arbitrary: fc
      .tuple(good, fc.nat(80), fc.string({ maxLength: 3 }))
      .map(
        ([one, at, bit]) => `${JSON.stringify(one).slice(0, at)}${bit}${JSON.stringify(one).slice(at + 1)}`,
      ),
    weight: 2,
  },
  { arbitrary: fc.string({ unit: 'binary' }), weight: 1 },
  { arbitrary: fc.json({ maxDepth: 20 }), weight: 1 },
  { arbitrary: nest, weight: 1 },
  { arbitrary: poison, weight: 2 },
)
/** Messages of a client: valid frames, almost valid ones, and random data. */
export const speech: fc.Arbitrary<(string | Uint8Array)[]> = fc.array(
  fc.oneof({ arbitrary: text, weight: 30 }, { arbitrary: fc.uint8Array(), weight: 1 }),
  {
    minLength: 1,
    maxLength: 12,
  },
)

/** Throws if a message that the application receives is not valid. */
export const audit: NonNullable<ReliableServerOptions['onMessage']> = (
  { event, dataType, data },
  session,
) => {
  if (typeof event !== 'string' || !event || event.length > 1_024) throw new Error('no name')
  if (dataType === 'text' && typeof data !== 'string') throw new Error('no text')
  if (dataType === 'binary' && !(data instanceof Uint8Array)) throw new Error('no bytes')
  session.send(data ?? 'nothing')
}
