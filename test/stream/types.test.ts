// Type tests, like test/core/types.test.ts.
import { expectTypeOf, test } from 'vitest'
import {
  type CloseEventData,
  createSocket,
  type Data,
  type OpenEventData,
  type Socket,
  type State,
} from '../../src/index.ts'
import { type Message, messages, type ReadOptions, readable, when, writable } from '../../src/stream.ts'
import { createFakeServer } from '../../src/testing.ts'

const idle = { autoConnect: false, WebSocket: createFakeServer().WebSocket } as const
const buffers = createSocket('/feed', idle)
const blobs = createSocket('/feed', { ...idle, binaryType: 'blob' })

/** Checks the type of a promise's value, without waiting for it. */
const resolved = <Value>(_: Promise<Value>) => expectTypeOf<Value>()

test('in TypeScript, messages() has the binary type of the socket', async () => {
  expectTypeOf<Message>().toEqualTypeOf<string | ArrayBuffer>()
  expectTypeOf<Message<'blob'>>().toEqualTypeOf<string | Blob>()
  const iterator = messages(blobs)
  resolved(iterator.next()).toEqualTypeOf<IteratorResult<string | Blob, void>>()
  const read = async () => {
    for await (const message of messages(buffers)) expectTypeOf(message).toEqualTypeOf<string | ArrayBuffer>()
  }
  expectTypeOf(read).toBeFunction()
  expectTypeOf(readable(buffers)).toEqualTypeOf<ReadableStream<string | ArrayBuffer>>()
  expectTypeOf(readable(blobs)).toEqualTypeOf<ReadableStream<string | Blob>>()
})

test('in TypeScript, overflow with drop-… requires onDrop', () => {
  messages(blobs, {
    overflow: 'drop-oldest',
    onDrop: message => expectTypeOf(message).toEqualTypeOf<string | Blob>(),
  })
  messages(buffers, { overflow: 'error', highWaterMark: 1, signal: AbortSignal.abort() })
    .next()
    .catch(() => {})
  // @ts-expect-error no onDrop
  expectTypeOf(() => messages(buffers, { overflow: 'drop-newest' })).toBeFunction()
  // @ts-expect-error no such overflow
  expectTypeOf(() => readable(buffers, { overflow: 'drop-all', onDrop() {} })).toBeFunction()
  // @ts-expect-error of Blobs
  const wrong: ReadOptions = { overflow: 'drop-oldest', onDrop: (message: string | Blob) => message }
  expectTypeOf(wrong).toBeObject()
})

test('in TypeScript, writable() accepts what send() accepts', () => {
  expectTypeOf(writable(blobs)).toEqualTypeOf<WritableStream<Data>>()
  const pipe = (file: File) =>
    file.stream().pipeTo(writable(buffers, { highWaterMark: 1, signal: new AbortController().signal }))
  expectTypeOf(pipe).returns.toEqualTypeOf<Promise<void>>()
  // @ts-expect-error numbers are not sent
  expectTypeOf((numbers: ReadableStream<number>) => numbers.pipeTo(writable(buffers))).toBeFunction()
})

test('in TypeScript, when() resolves to the payload of the event', () => {
  const types = (socket: Socket<'blob'>) => {
    resolved(when(socket, 'open')).toEqualTypeOf<OpenEventData>()
    resolved(when(socket, 'close', { signal: AbortSignal.abort() })).toEqualTypeOf<CloseEventData>()
    resolved(when(socket, 'state')).toEqualTypeOf<State>()
    resolved(when(socket, 'text')).toEqualTypeOf<string>()
    resolved(when(socket, 'binary')).toEqualTypeOf<Blob>()
    resolved(when(buffers, 'binary')).toEqualTypeOf<ArrayBuffer>()
    // @ts-expect-error no such event
    when(socket, 'message')
  }
  expectTypeOf(types).toBeFunction()
})
