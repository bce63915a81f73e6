// The Redis store over a client that does what each test wants.
import { EventEmitter } from 'node:events'
import { describe, expect, test } from 'vitest'
import { type RedisClient, redisStore } from '../../src/server.ts'

class FakeRedis extends EventEmitter implements RedisClient {
  readonly commands: string[][] = []

  async sendCommand(args: string[]): Promise<unknown> {
    this.commands.push(args)
    return 'hash'
  }

  duplicate() {
    return Object.assign(new FakeRedis(), {
      connect: async () => {},
      subscribe: async () => {},
      destroy: () => {},
    })
  }
}

describe('the Redis store', () => {
  test('gives the client an error listener, without which a lost connection to Redis would end the process', () => {
    const client = new FakeRedis()
    redisStore(client)
    client.emit('error', new Error('connection lost'))
    expect(client.listenerCount('error')).toBe(1)
  })
})
