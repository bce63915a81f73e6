import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { byteLength, checkData, copyData, type Data } from '../../src/common/data.ts'

/** Any UTF-16 string, including lone surrogates, surrogate pairs and control characters. */
const anyText = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc
    .array(fc.oneof(fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0xd7fe, max: 0xe001 })))
    .map(units => String.fromCharCode(...units)),
)

const bytes = (data: Data) =>
  ArrayBuffer.isView(data)
    ? [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)]
    : [...new Uint8Array(data as ArrayBuffer)]

const VIEWS: (new (buffer: ArrayBufferLike, start?: number) => ArrayBufferView)[] = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  DataView,
]

describe('byteLength()', () => {
  test('is the UTF-8 length of any text', () => {
    const encoder = new TextEncoder()
    fc.assert(
      fc.property(anyText, text => {
        expect(byteLength(text)).toBe(encoder.encode(text).length)
      }),
      { numRuns: 2_000 },
    )
  })

  test.each([
    ['', 0],
    ['a', 1],
    ['\u007f', 1],
    ['\u0080', 2],
    ['é', 2],
    ['\u07ff', 2],
    ['\u0800', 3],
    ['€', 3],
    ['\uffff', 3],
    ['\u{10000}', 4],
    ['😀', 4],
    ['👩‍👩‍👧', 18],
    ['\ud83d', 3],
    ['\ude00', 3],
    ['\ude00\ud83d', 6],
    ['\ud83d😀', 7],
    ['😀\ude00', 7],
  ])('of the text %j is %d', (text, length) => {
    expect(byteLength(text)).toBe(length)
  })

  test('of an ArrayBuffer is its byteLength', () => {
    expect(byteLength(new ArrayBuffer(0))).toBe(0)
    expect(byteLength(new ArrayBuffer(1_000))).toBe(1_000)
  })

  test.each(VIEWS.map(View => [View.name, View] as const))(
    'of a %s counts only the bytes that the view covers',
    (_, View) => {
      expect(byteLength(new View(new ArrayBuffer(64), 16))).toBe(48)
      expect(byteLength(new DataView(new ArrayBuffer(64), 7, 5))).toBe(5)
    },
  )

  test('of a Blob or File is its size', () => {
    expect(byteLength(new Blob(['€', new Uint8Array(5)]))).toBe(8)
    expect(byteLength(new File(['€'], 'price.txt'))).toBe(3)
    expect(byteLength(new Blob())).toBe(0)
  })
})

describe('copyData()', () => {
  test('copies the bytes of any view or buffer, and the copy does not change with the original', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 200 }),
        fc.nat(),
        fc.nat(),
        (content, from, length) => {
          const { buffer } = Uint8Array.from(content)
          const start = from % content.length
          const view = new Uint8Array(buffer, start, length % (content.length - start + 1))
          for (const original of [buffer, view, new DataView(buffer, start, view.length)]) {
            new Uint8Array(buffer).set(content)
            const before = bytes(original)
            const kept = copyData(original)
            new Uint8Array(buffer).forEach((byte, index, all) => {
              all[index] = ~byte
            })
            expect(bytes(kept)).toEqual(before)
            expect(byteLength(kept)).toBe(before.length)
          }
        },
      ),
    )
  })

  test('makes a copy that survives the transfer of the original', () => {
    const original = Uint8Array.of(1, 2, 3)
    const kept = copyData(original)
    structuredClone(original, { transfer: [original.buffer] })
    expect(original).toHaveLength(0)
    expect(bytes(kept)).toEqual([1, 2, 3])
  })

  test('writes nothing into the original', () => {
    const original = Uint8Array.of(1, 2, 3)
    const kept = copyData(original)
    new Uint8Array(ArrayBuffer.isView(kept) ? kept.buffer : (kept as ArrayBuffer)).fill(9)
    expect([...original]).toEqual([1, 2, 3])
  })

  test('does not keep a large buffer alive for a small view of it', () => {
    const kept = copyData(new Uint8Array(new ArrayBuffer(1_000_000), 500, 10))
    expect((ArrayBuffer.isView(kept) ? kept.buffer : (kept as ArrayBuffer)).byteLength).toBe(10)
  })

  test.each(VIEWS.map(View => [View.name, View] as const))(
    'of a %s copies only the bytes that the view covers',
    (_, View) => {
      expect(byteLength(copyData(new View(new ArrayBuffer(64), 16)))).toBe(48)
    },
  )

  test.each(['', 'text', new Blob(['a']), new File(['a'], 'a.txt')])(
    'returns immutable data itself: %o',
    data => {
      expect(copyData(data)).toBe(data)
    },
  )

  test('copies a buffer and a view from another realm', () => {
    const { view } = runInNewContext('({ view: Uint8Array.of(1, 2, 3).subarray(1) })')
    expect(bytes(copyData(view))).toEqual([2, 3])
    expect(bytes(copyData(view.buffer))).toEqual([1, 2, 3])
  })

  test('makes a copy that can be sent wherever the original could', () => {
    for (const data of [
      'a',
      new ArrayBuffer(2),
      new Uint16Array(2),
      new DataView(new ArrayBuffer(2)),
      new Blob(),
    ]) {
      expect(() => checkData(copyData(data))).not.toThrow()
    }
  })
})

describe('checkData()', () => {
  const sendable: Record<string, Data> = {
    'an empty string': '',
    'a string': 'hello',
    'a lone surrogate': '\ud83d',
    'an ArrayBuffer': new ArrayBuffer(2),
    'an empty ArrayBuffer': new ArrayBuffer(0),
    'a Blob': new Blob(['a']),
    'a File': new File(['a'], 'a.txt'),
    'a Node Buffer': Buffer.from('a'),
    'a buffer of another realm': runInNewContext('new ArrayBuffer(2)'),
    'a view of another realm': runInNewContext('new Float32Array(2)'),
  }
  for (const View of VIEWS) sendable[`a ${View.name}`] = new View(new ArrayBuffer(16))

  test.each(Object.entries(sendable))('accepts %s', (_, data) => {
    expect(() => checkData(data)).not.toThrow()
  })

  const shared = new SharedArrayBuffer(16)
  const unsendable: Record<string, unknown> = {
    undefined: undefined,
    null: null,
    'a number': 123,
    zero: 0,
    NaN: Number.NaN,
    'a bigint': 1n,
    true: true,
    'a symbol': Symbol('s'),
    'a function': () => 'text',
    'a plain object': {},
    'an object with a size': { size: 3 },
    'an object with a byteLength': { byteLength: 3, slice() {} },
    'an object without a prototype': Object.create(null),
    'an array': [1, 2, 3],
    'an empty array': [],
    'a String object': Object('text'),
    'a Date': new Date(0),
    'a Map': new Map(),
    'an Error': new Error('text'),
    'a promise': Promise.resolve('text'),
    'a URL': new URL('https://a.test/'),
    'a SharedArrayBuffer': shared,
  }
  for (const View of VIEWS) unsendable[`a ${View.name} on shared memory`] = new View(shared)

  test.each(Object.entries(unsendable))('throws a TypeError for %s', (_, data) => {
    expect(() => checkData(data as Data)).toThrow(TypeError)
  })

  test('throws an error that lists the accepted types', () => {
    expect(() => checkData({} as Data)).toThrow(/string.*ArrayBuffer.*Blob/)
  })
})
