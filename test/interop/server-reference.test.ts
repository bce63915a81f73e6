// Tests the server with an unmodified client of another vendor: the one that Azure publishes on npm.
import { WebPubSubClient, type WebPubSubClientOptions } from '@azure/web-pubsub-client'
import { describe, expect, test } from 'vitest'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { eventually } from '../support/eventually.ts'
import { startProxy } from '../support/proxy.ts'
import { azureProtobuf } from './azure-protobuf.ts'
import { forEachStore, startNode } from './server-rig.ts'

cleanUp()

forEachStore(stores => {
  const start = async (options: Parameters<typeof startNode>[0] = {}) => {
    const node = await startNode({
      store: stores.next(),
      onMessage: ({ data }, session) => session.send(data),
      onJoin: () => true,
      onPublish: () => true,
      ...options,
    })
    const proxy = await startProxy({ port: node.port })
    cleanup(() => proxy.close())
    return { ...node, proxy }
  }

  const connect = async (url: string, options: WebPubSubClientOptions = {}) => {
    const client = new WebPubSubClient(url, options)
    const connections: (string | undefined)[] = []
    const heard: unknown[] = []
    client.on('connected', ({ connectionId }) => connections.push(connectionId))
    client.on('server-message', ({ message }) => heard.push(message.data))
    client.on('group-message', ({ message }) => heard.push([message.group, message.data]))
    cleanup(() => client.stop())
    await client.start()
    await eventually(() => expect(connections).toHaveLength(1))
    return { client, connections, heard }
  }

  describe('the client of Azure Web PubSub', () => {
    test('connects, sends events of all types, and receives the answers', async () => {
      const { url } = await start()
      const { client, heard } = await connect(url)
      expect(await client.sendEvent('e', { a: 1 }, 'json')).toMatchObject({ isDuplicated: false })
      await client.sendEvent('e', 'text', 'text')
      await client.sendEvent('e', new Uint8Array([0, 255]).buffer, 'binary')
      await client.sendEvent('e', 'unheeded', 'text', { fireAndForget: true })
      await eventually(() => expect(heard).toHaveLength(4))
      expect(heard).toEqual([{ a: 1 }, 'text', new Uint8Array([0, 255]).buffer, 'unheeded'])
    })

    test('counts Duplicate as success', async () => {
      const { url } = await start()
      const { client, heard } = await connect(url)
      await client.sendEvent('e', 'x', 'text', { ackId: 77 })
      expect(await client.sendEvent('e', 'x', 'text', { ackId: 77 })).toEqual({
        ackId: 77,
        isDuplicated: true,
      })
      await eventually(() => expect(heard).toEqual(['x']))
    })

    test('joins, publishes to and leaves groups', async () => {
      const { url, server } = await start()
      const [ada, bob] = [await connect(url), await connect(url)]
      await ada.client.joinGroup('news')
      await bob.client.joinGroup('news')
      await ada.client.sendToGroup('news', 'hello', 'text', { noEcho: true })
      await eventually(() => expect(bob.heard).toEqual([['news', 'hello']]))
      expect(ada.heard).toEqual([])
      await bob.client.leaveGroup('news')
      expect(await server.publish('news', 'x')).toBe(1)
    })

    test('receives the reason of a refusal', async () => {
      const { url } = await start({ onJoin: () => false })
      const { client } = await connect(url, { messageRetryOptions: { maxRetries: 0 } })
      await expect(client.joinGroup('secret')).rejects.toMatchObject({ errorDetail: { name: 'Forbidden' } })
    })

    test('recovers its session after cuts and receives everything once and in order', async () => {
      const { proxy, server } = await start()
      const { client, connections, heard } = await connect(proxy.url(), {
        messageRetryOptions: { maxRetries: 50, retryDelayInMs: 20 },
      })
      const id = connections[0] as string
      const expected: number[] = []
      for (let cut = 0; cut < 3; cut++) {
        for (let i = 0; i < 20; i++) {
          expected.push(i)
          await server.send(id, i)
        }
        proxy.reset()
        expected.push(-1)
        await server.send(id, -1)
        await eventually(() => expect(server.stats.resumed).toBe(cut + 1))
      }
      await eventually(() => expect(heard).toEqual(expected))
      expect(server.stats).toMatchObject({ created: 1, refused: 0 })
      await client.sendEvent('e', 'after', 'text')
      await eventually(() => expect(heard.at(-1)).toBe('after'))
      expect(connections).toEqual([id])
    })

    test('begins a new session when its session has ended', async () => {
      const { url, server } = await start()
      const { connections } = await connect(url)
      await server.end(connections[0] as string)
      await eventually(() => expect(connections).toHaveLength(2))
      expect(connections[1]).not.toBe(connections[0])
    })
  })

  describe('the client of Azure Web PubSub with protobuf frames', () => {
    const options = { protocol: azureProtobuf() }

    test('connects, sends events, and receives the answers', async () => {
      const { url } = await start({
        onMessage: ({ dataType, data }, session) => {
          session.send(data)
          session.send({ dataType })
        },
      })
      const { client, heard } = await connect(url, options)
      const bytes = Uint8Array.from({ length: 2 ** 16 }, (_, i) => (i * 7) & 255)
      expect(await client.sendEvent('e', 'text ä', 'text')).toMatchObject({ isDuplicated: false })
      await client.sendEvent('e', bytes.buffer, 'binary')
      await client.sendEvent('e', 'unheeded', 'text', { fireAndForget: true })
      await eventually(() => expect(heard).toHaveLength(6))
      // Azure's protobuf frames have no JSON. As Azure's service does, the server sends it as text.
      const [text, binary] = ['{"dataType":"text"}', '{"dataType":"binary"}']
      expect(heard).toEqual(['text ä', text, bytes.buffer, binary, 'unheeded', text])
    })

    test('counts Duplicate as success, and receives the reason of a refusal', async () => {
      const { url } = await start({ onJoin: () => false })
      const { client, heard } = await connect(url, { ...options, messageRetryOptions: { maxRetries: 0 } })
      await client.sendEvent('e', 'x', 'text', { ackId: 77 })
      expect(await client.sendEvent('e', 'x', 'text', { ackId: 77 })).toEqual({
        ackId: 77,
        isDuplicated: true,
      })
      await eventually(() => expect(heard).toEqual(['x']))
      await expect(client.joinGroup('secret')).rejects.toMatchObject({ errorDetail: { name: 'Forbidden' } })
    })

    test('shares a group with the same client with JSON frames', async () => {
      const { url } = await start()
      const [ada, bob] = [await connect(url, options), await connect(url)]
      await ada.client.joinGroup('news')
      await bob.client.joinGroup('news')
      const bytes = new Uint8Array([0, 128, 255]).buffer
      await ada.client.sendToGroup('news', bytes, 'binary', { noEcho: true })
      await bob.client.sendToGroup('news', bytes, 'binary', { noEcho: true })
      await eventually(() => expect([ada.heard, bob.heard]).toEqual([[['news', bytes]], [['news', bytes]]]))
    })

    test('recovers its session after cuts and receives everything once and in order', async () => {
      const { proxy, server } = await start()
      const { connections, heard } = await connect(proxy.url(), options)
      const id = connections[0] as string
      const expected: string[] = []
      for (let cut = 0; cut < 3; cut++) {
        for (let i = 0; i < 20; i++) {
          expected.push(`${cut} ${i}`)
          await server.send(id, `${cut} ${i}`)
        }
        proxy.reset()
        await eventually(() => expect(server.stats.resumed).toBe(cut + 1))
      }
      await eventually(() => expect(heard).toEqual(expected))
      expect(server.stats).toMatchObject({ created: 1, refused: 0, violations: 0 })
      expect(connections).toEqual([id])
    })
  })
})
