// Stores that cannot be opened yet.
import { afterEach, describe, expect, test } from 'vitest'
import { createReliableServer, memoryStore, type ReliableServer, type Store } from '../../src/server.ts'
import { FakeServer } from './fake.ts'

test('a WebSocketServer can only have one reliable server at a time', async () => {
  const wss = new FakeServer()
  const first = createReliableServer(wss)
  expect(() => createReliableServer(wss)).toThrow(
    'This WebSocketServer already has a reliable server: use that one, or close it first',
  )
  expect((await wss.connect()).frames).toMatchObject([{ event: 'connected' }])
  await first.close({ timeout: 0 })
  const second = createReliableServer(wss)
  expect((await wss.connect()).frames).toMatchObject([{ event: 'connected' }])
  await second.close({ timeout: 0 })
})

test('createReliableServer() names what is wrong with its arguments', () => {
  expect(() => createReliableServer({ port: 8080 } as any)).toThrow(
    'createReliableServer() needs a WebSocketServer of the package ws',
  )
  expect(() => createReliableServer(new FakeServer(), { origins: 'https://a.example' as any })).toThrow(
    'origins must be a list or a function',
  )
})

describe('a server whose store cannot be opened', () => {
  const servers: ReliableServer[] = []
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.close({ timeout: 0 })
  })
  const start = (store: Store) => {
    const wss = new FakeServer()
    const errors: unknown[] = []
    const server = createReliableServer(wss, { store, onError: error => errors.push(error) })
    servers.push(server)
    return { wss, server, errors }
  }

  test('tries again with the next client', async () => {
    const memory = memoryStore()
    let failures = 1
    const { wss, server, errors } = start({
      open: (...args) => (failures-- > 0 ? Promise.reject(new Error('no store')) : memory.open(...args)),
    })
    expect((await wss.connect()).end?.code).toBe(1011)
    const client = await wss.connect()
    expect(client.frames[0]).toMatchObject({ event: 'connected' })
    expect(await server.send(client.frames[0].connectionId, 'x')).toBe(1)
    expect(errors[0]).toEqual(new Error('no store'))
  })

  test('opens it once for all clients that come at the same time', async () => {
    const memory = memoryStore()
    let opened = 0
    const { wss } = start({
      open: async (...args) => {
        opened++
        return memory.open(...args)
      },
    })
    await Promise.all(Array.from({ length: 5 }, () => wss.connect()))
    expect(opened).toBe(1)
  })

  test('reports an open() that throws instead of rejecting', async () => {
    const { wss, errors } = start({
      open: () => {
        throw new Error('no store')
      },
    })
    expect((await wss.connect()).end?.code).toBe(1011)
    expect(errors[0]).toEqual(new Error('no store'))
  })

  test('can be closed while it is still being opened, and closes it when it is open', async () => {
    const memory = memoryStore()
    let finish = () => {}
    const closed = new Promise<void>(resolve => {
      const { server } = start({
        open: async (...args) => {
          await new Promise<void>(open => {
            finish = open
          })
          const node = await memory.open(...args)
          return { ...node, close: async () => resolve() }
        },
      })
      server.close({ timeout: 0 }).then(() => finish())
    })
    await closed
  })
})
