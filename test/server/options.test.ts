import { describe, expect, test } from 'vitest'
import { memoryStore, redisStore } from '../../src/server.ts'

const client = {
  sendCommand: async () => 'x',
  on: () => {},
  duplicate: () => ({
    connect: async () => {},
    subscribe: async () => {},
    on: () => {},
    destroy: () => {},
  }),
}

describe('the options of a store', () => {
  test.each([
    ['memoryStore', 'maxSession', 'maxSessions', (options: object) => memoryStore(options)],
    ['redisStore', 'prefxi', 'prefix', (options: object) => redisStore(client, options)],
    ['redisStore', 'maxsessions', 'maxSessions', (options: object) => redisStore(client, options)],
    [
      'replicas',
      'counts',
      'count',
      (options: object) => redisStore(client, { replicas: { count: 1, ...options } }),
    ],
  ])('%s() rejects the misspelt option %s and suggests %s', (place, name, nearest, create) => {
    expect(() => create({ [name]: 5 })).toThrow(
      new TypeError(`${place} has no option '${name}'. Did you mean '${nearest}'?`),
    )
  })

  test.each([0, -1, 1.5, Number.NaN, '5', null])('maxSessions may not be %j', value => {
    const options = { maxSessions: value as number }
    expect(() => memoryStore(options)).toThrow(/maxSessions must be an integer >= 1/)
    expect(() => redisStore(client, options)).toThrow(/maxSessions must be an integer >= 1/)
  })

  test('maxSessions may be Infinity, and everything may be undefined', () => {
    memoryStore({ maxSessions: Number.POSITIVE_INFINITY })
    redisStore(client, { maxSessions: Number.POSITIVE_INFINITY })
    memoryStore({ maxSessions: undefined as never })
    redisStore(client, {
      prefix: undefined as never,
      replicas: undefined as never,
      maxSessions: undefined as never,
    })
  })

  test.each([
    { count: 0 },
    { count: 1.5 },
    { count: 1, timeout: 0 },
    { count: 1, timeout: -1 },
    { timeout: 5 },
  ])('redisStore() rejects the replicas %j', replicas => {
    expect(() => redisStore(client, { replicas: replicas as never })).toThrow(TypeError)
  })

  test('redisStore() rejects a prefix that is not a string', () => {
    expect(() => redisStore(client, { prefix: 5 as never })).toThrow('prefix must be a string')
  })
})
