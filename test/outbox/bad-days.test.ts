import { afterEach, describe, expect, test, vi } from 'vitest'
import { createOutbox, indexedDbOutbox, type OutboxOptions } from '../../src/outbox.ts'
import { eventually } from '../support/eventually.ts'
import { attach, FakeSocket, MemoryStorage } from './fakes.ts'

afterEach(() => vi.useRealTimers())

/** Lets promises that are settled run, and no timer. */
const settled = async () => {
  for (let i = 0; i < 2_000; i++) await undefined
}

const named = (name: string) => Object.assign(new Error(name), { name })

const failing = (step: string, error: unknown, times = Infinity) => {
  const storage = new MemoryStorage()
  let left = times
  storage.before = which => {
    if (which === step && left-- > 0) throw error
  }
  return storage
}

describe('when the storage fails', () => {
  test.each([
    ['quota', 'add', 'QuotaExceededError'],
    ['failed', 'add', 'UnknownError'],
    ['unavailable', 'open', 'UnknownError'],
    ['unavailable', 'open', 'SecurityError'],
    ['newer', 'open', 'VersionError'],
  ])(
    'messages are sent from memory, and a problem with the reason %s lists them (%s: %s)',
    async (reason, step, name) => {
      const error = named(name)
      const { send, socket, problems } = attach({}, failing(step, error))
      const outcomes = [send(1), send(2)]
      await settled()
      expect(socket.data).toEqual([1, 2])
      expect(problems).toMatchObject([{ reason, cause: error, messages: [{ data: 1 }, { data: 2 }] }])
      for (const { answer } of [...socket.sent]) answer()
      expect(await Promise.all(outcomes)).toEqual([{ status: 'delivered' }, { status: 'delivered' }])
    },
  )

  test('and the outbox has no listener, the socket emits an error', async () => {
    const outbox = createOutbox(failing('add', named('QuotaExceededError')))
    const socket = new FakeSocket()
    outbox.attach(socket)({ data: 1, options: {}, write: data => `{"dataType":"json","data":${data}}` })
    await settled()
    expect(socket.errors.map(({ message }) => message)).toContain(
      'The browser does not allow the outbox to store more. Messages are sent, but not stored',
    )
  })

  test('a problem is reported once, and again after it was over', async () => {
    const { send, problems, storage } = attach({}, failing('add', named('QuotaExceededError'), 2))
    send(1)
    await settled()
    send(2)
    await settled()
    expect(problems).toHaveLength(1)
    send(3)
    await settled()
    storage.before = step => {
      if (step === 'add') throw named('QuotaExceededError')
    }
    send(4)
    await settled()
    expect(problems.map(({ reason }) => reason)).toEqual(['quota', 'quota'])
  })

  test('a storage that does not open is tried again after ten seconds, not for each message', async () => {
    vi.useFakeTimers()
    const { send, storage, outbox } = attach({}, failing('open', named('UnknownError'), 1))
    send(1)
    await settled()
    send(2)
    await settled()
    expect(storage.opened).toBe(1)
    await expect(outbox.pending()).rejects.toThrow('UnknownError')
    await vi.advanceTimersByTimeAsync(10_001)
    send(3)
    await settled()
    expect(storage.opened).toBe(2)
    expect([...storage.records.values()].map(({ body }) => JSON.parse(String(body)).data)).toEqual([3])
  })

  test('a storage that never opens counts as unavailable after five seconds', async () => {
    vi.useFakeTimers()
    const storage = new MemoryStorage()
    storage.before = step => (step === 'open' ? new Promise(() => {}) : undefined)
    const { send, socket, problems } = attach({}, storage)
    send(1)
    await settled()
    expect(socket.data).toEqual([])
    await vi.advanceTimersByTimeAsync(5_000)
    expect(problems).toMatchObject([{ reason: 'unavailable', messages: [{ data: 1 }] }])
    expect(socket.data).toEqual([1])
  })

  test('a message that could not be stored is not sent before one that was stored earlier', async () => {
    const { send, socket, storage } = attach({ maxBytes: 2 ** 30 })
    // More than the window: some of it waits in the storage.
    const large = 'x'.repeat(2 ** 19)
    for (let n = 0; n < 4; n++) send(large + n)
    await settled()
    storage.before = step => {
      if (step === 'add') throw named('QuotaExceededError')
    }
    send('last')
    await settled()
    expect(socket.data).not.toContain('last')
    while (socket.sent.length) {
      socket.sent[0]?.answer()
      await settled()
    }
    expect(socket.data.map(data => String(data).slice(-4))).toEqual(['xxx0', 'xxx1', 'xxx2', 'xxx3', 'last'])
  })
})

describe('when the storage is lost', () => {
  test('messages of this page are stored again in the new one, and sent once', async () => {
    const { send, socket, storage, problems } = attach()
    const outcome = send(1)
    await settled()
    storage.records.clear()
    storage.lose('deleted')
    await settled()
    expect(problems).toMatchObject([{ reason: 'closed', cause: 'deleted', messages: [{ data: 1 }] }])
    expect(storage.records.size).toBe(1)
    expect(socket.data).toEqual([1])
    socket.sent[0]?.answer()
    expect(await outcome).toEqual({ status: 'delivered' })
    await settled()
    expect(storage.records.size).toBe(0)
  })

  test('messages that it still has are not stored twice', async () => {
    const { send, storage } = attach()
    send(1)
    await settled()
    storage.lose()
    await settled()
    expect(storage.records.size).toBe(1)
  })

  test('and does not open again, messages of this page are sent from memory', async () => {
    const socket = new FakeSocket()
    socket.state = { name: 'waiting' }
    const { send, storage, problems } = attach({}, new MemoryStorage(), socket)
    send(1)
    await settled()
    expect(socket.data).toEqual([])
    storage.before = step => {
      if (step === 'open') throw named('VersionError')
    }
    storage.lose()
    await settled()
    expect(problems.map(({ reason }) => reason)).toEqual(['closed', 'newer'])
    expect(socket.data).toEqual([1])
  })
})

describe('limits', () => {
  test('a message beyond maxMessages is dropped with the reason overflow', async () => {
    const { send, socket } = attach({ maxMessages: 2 })
    send(1)
    send(2)
    expect(await send(3)).toEqual({ status: 'dropped', reason: 'overflow' })
    expect(socket.reported).toEqual([
      { data: 3, outcome: { status: 'dropped', reason: 'overflow' }, isOwn: true },
    ])
  })

  test('a message beyond maxBytes is dropped with the reason overflow', async () => {
    const { send } = attach({ maxBytes: 100 })
    expect(await send('x'.repeat(100))).toEqual({ status: 'dropped', reason: 'overflow' })
  })

  test('at most 256 messages are passed to the socket at a time', async () => {
    const { send, socket } = attach()
    for (let n = 0; n < 300; n++) send(n)
    await settled()
    await settled()
    expect(socket.sent).toHaveLength(256)
    socket.sent[0]?.answer()
    await settled()
    expect(socket.data).toEqual([...Array(257).keys()])
  })
})

describe('encode and decode', () => {
  const reverse = async (bytes: Uint8Array) => bytes.map(byte => byte ^ 255)

  test('change what is stored, and nothing that is sent', async () => {
    const storage = new MemoryStorage()
    const closed = new FakeSocket()
    closed.state = { name: 'waiting' }
    const first = attach({ encode: reverse, decode: reverse }, storage, closed)
    first.send({ secret: 'Ann' })
    await settled()
    const [record] = storage.records.values()
    expect(Buffer.from(record?.body as Uint8Array).toString()).not.toContain('Ann')
    const second = attach({ encode: reverse, decode: reverse }, storage)
    await settled()
    expect(second.socket.data).toEqual([{ secret: 'Ann' }])
  })

  test('a message that cannot be decoded is reported, stays in the storage, and does not stop the others', async () => {
    const storage = new MemoryStorage()
    const closed = new FakeSocket()
    closed.state = { name: 'waiting' }
    const first = attach({ encode: reverse, decode: reverse }, storage, closed)
    first.send(1)
    await settled()
    const error = new Error('another key')
    let isFirst = true
    const decode = async (bytes: Uint8Array) => {
      if (isFirst) throw error
      return reverse(bytes)
    }
    const { socket, problems, outbox, send } = attach({ encode: reverse, decode }, storage)
    await settled()
    const [{ id } = { id: '' }] = storage.records.values()
    expect(problems).toMatchObject([{ reason: 'codec', cause: error, messages: [{ id }] }])
    isFirst = false
    send(2)
    await settled()
    expect(socket.data).toEqual([2])
    expect(await outbox.pending()).toMatchObject([{ id }, { data: 2 }])
  })

  test('a message that cannot be encoded is reported, and sent without being stored', async () => {
    const encode = () => Promise.reject(new Error('no key'))
    const { send, socket, problems, storage } = attach({ encode, decode: reverse })
    send(1)
    await settled()
    expect(problems).toMatchObject([{ reason: 'codec', messages: [{ data: 1 }] }])
    expect(storage.records.size).toBe(0)
    expect(socket.data).toEqual([1])
  })
})

describe('one message', () => {
  test('keeps its place behind a Blob that must be read first', async () => {
    const { send, socket } = attach()
    send(new Blob(['abc']))
    send(1)
    await eventually(() => expect(socket.data).toEqual([Buffer.from('abc').toString('base64'), 1]))
  })

  test('that cannot be sent rejects at once, and is not stored', async () => {
    const { send, storage } = attach()
    await expect(send(undefined)).rejects.toThrow(TypeError)
    const unreadable = Object.assign(new Blob(['x']), {
      arrayBuffer: () => Promise.reject(named('NotReadableError')),
    })
    await expect(send(unreadable)).rejects.toThrow('NotReadableError')
    await settled()
    expect(storage.records.size).toBe(0)
  })

  test('that has expired when a later page finds it is dropped, and deleted', async () => {
    vi.useFakeTimers()
    const storage = new MemoryStorage()
    const closed = new FakeSocket()
    closed.state = { name: 'waiting' }
    attach({}, storage, closed).send('late', { ttl: 1_000 })
    await settled()
    vi.setSystemTime(Date.now() + 1_000)
    const { socket } = attach({}, storage)
    await settled()
    expect(socket.data).toEqual([])
    expect(socket.reported).toEqual([
      { data: 'late', outcome: { status: 'dropped', reason: 'expired' }, isOwn: false },
    ])
    expect(storage.records.size).toBe(0)
  })

  test('whose signal is aborted before it is sent is dropped, and deleted', async () => {
    const { send, socket, storage } = attach()
    const controller = new AbortController()
    const { signal } = controller
    for (let n = 0; n < 256; n++) send(n)
    const outcome = send('last', { signal })
    await settled()
    controller.abort()
    socket.sent[0]?.answer()
    expect(await outcome).toEqual({ status: 'dropped', reason: 'aborted' })
    await settled()
    expect(socket.data).not.toContain('last')
    expect(storage.records.size).toBe(255)
    expect(await send('never', { signal })).toEqual({ status: 'dropped', reason: 'aborted' })
  })

  test('resolves as stored when the socket is closed, and as dropped when it is sent after that', async () => {
    const { send, socket, storage } = attach()
    const outcome = send(1)
    await settled()
    socket.change({ name: 'closed', cause: new Error('closed') })
    expect(await outcome).toEqual({ status: 'stored' })
    expect(storage.records.size).toBe(1)
    expect(await send(2)).toEqual({ status: 'dropped', reason: 'closed' })
  })

  test('is sent again after the socket has connected again', async () => {
    const { send, socket } = attach()
    send(1)
    await settled()
    socket.change({ name: 'closed', cause: new Error('closed') })
    await settled()
    socket.change({ name: 'open' })
    await settled()
    expect(socket.data).toEqual([1, 1])
    expect(socket.sent).toHaveLength(1)
  })
})

describe('clear()', () => {
  test('drops and deletes all messages, those that are being stored included', async () => {
    const { send, socket, storage, outbox } = attach()
    const outcomes = [send(1), send(2)]
    await settled()
    outcomes.push(send(3))
    await outbox.clear()
    for (const outcome of outcomes) expect(await outcome).toEqual({ status: 'dropped', reason: 'cleared' })
    await settled()
    expect(storage.records.size).toBe(0)
    expect(socket.sent).toHaveLength(0)
    expect(await outbox.pending()).toEqual([])
  })
})

describe('invalid arguments', () => {
  test.each<[object, string]>([
    [{ maxMesages: 1 }, "createOutbox has no option 'maxMesages'. Did you mean 'maxMessages'?"],
    [{ maxBytes: 0 }, 'maxMessages and maxBytes must be numbers above 0'],
    [{ encode: (bytes: Uint8Array) => bytes }, 'encode and decode belong together: pass both, or neither'],
    [{ encode: 'aes', decode: 'aes' }, 'encode and decode must be functions'],
  ])('createOutbox() with %o throws a TypeError', (options, message) => {
    expect(() => createOutbox(new MemoryStorage(), options as OutboxOptions)).toThrow(new TypeError(message))
  })

  test.each<[unknown, object, string]>([
    ['', {}, 'indexedDbOutbox needs a name'],
    ['a', { user: 7 }, 'user must be a string'],
    ['a', { durability: 'full' }, "durability must be 'relaxed' or 'strict'"],
    ['a', { usr: 'x' }, "indexedDbOutbox has no option 'usr'. Did you mean 'user'?"],
  ])('indexedDbOutbox(%j, %o) throws a TypeError', (name, options, message) => {
    expect(() => indexedDbOutbox(name as string, options)).toThrow(new TypeError(message))
  })

  test('an outbox that is given to a second socket throws a TypeError', () => {
    const { outbox } = attach()
    expect(() => outbox.attach(new FakeSocket())).toThrow(TypeError)
  })
})
