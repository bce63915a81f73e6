// The Redis store, with a fake client.
import { EventEmitter } from 'node:events'
import { describe, expect, test } from 'vitest'
import { type RedisClient, redisStore } from '../../src/server.ts'

class FakeRedis extends EventEmitter implements RedisClient {
  answer: (args: string[]) => unknown = () => 'hash'

  async sendCommand(args: string[]): Promise<unknown> {
    return this.answer(args)
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

  describe('that waits for replicas', () => {
    const LIMITS = {
      sessionTimeout: 60_000,
      maxUnacknowledged: 10,
      maxUnacknowledgedBytes: 1_000,
      maxGroups: 5,
      dedupeWindow: 10,
      idTimeout: 604_800_000,
      maxIds: 10_000,
    }
    /** `ids`: the results of the calls that return the id of the connection. `runs`: the same for the run id of Redis. */
    const commit = async ({ ids = [7], runs = ['run'], confirmed = 1 }) => {
      const client = new FakeRedis()
      const next = <Value>(list: Value[]) => (list.length > 1 ? list.shift() : list[0])
      client.answer = ([name = '', ...args]) => {
        if (name === 'WAIT') return confirmed
        if (name === 'CLIENT') return next(ids)
        // A commit has its effects at the end.
        if (name === 'EVALSHA') return args.at(-1) === '{}' ? ['done', 1, 'run'] : next(runs)
        return 'OK'
      }
      const store = redisStore(client, { warn: false, replicas: { count: 1 } })
      const node = await store.open(LIMITS, () => {})
      return node.commit([{ kind: 'send', session: 'a', frame: '{}' }])
    }

    test('stores a message when enough replicas have confirmed it', async () => {
      expect(await commit({})).toEqual({ outcome: 'done', count: 1 })
    })

    test('fails to store a message if replicas do not confirm it', async () => {
      await expect(commit({ confirmed: 0 })).rejects.toThrow('only 0 of 1 replicas')
    })

    test('fails to store a message if the connection was replaced in between, because WAIT then confirms nothing', async () => {
      await expect(commit({ ids: [7, 8] })).rejects.toThrow('was replaced before replicas had confirmed')
    })

    test.each([[['run', 'run', 'other']], [['run', 'other', 'other']]])(
      'fails if Redis was replaced by another one in between (%j)',
      async runs => {
        // The first answer is to opening the store.
        await expect(commit({ runs })).rejects.toThrow('was replaced before replicas had confirmed')
      },
    )
  })
})
