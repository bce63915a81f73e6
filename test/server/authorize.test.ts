import { describe, expect, test } from 'vitest'
import { startFake } from './start.ts'

describe('authorize', () => {
  test.each([
    ['a number', 42],
    ['an array', []],
    ['a function', () => true],
    ['a user id that is null', { userId: null }],
    ['a user id that is a number', { userId: 7 }],
    ['a user id that is undefined', { userId: undefined, name: 'ada' }],
    ['an object of something else', { id: 'ada' }],
    ['groups that are no array', { userId: 'ada', groups: 'staff' }],
    ['an invalid group name', { userId: 'ada', groups: [''] }],
    ['a date', new Date()],
  ])('lets nobody in when it returns %s, and reports a TypeError', async (_, answer) => {
    const { wss, server, errors } = startFake({ authorize: () => answer as any })
    const client = await wss.connect()
    expect(client.end?.code).toBe(1011)
    expect(errors).toEqual([expect.any(TypeError)])
    expect(server.stats).toMatchObject({ created: 0, connections: 0 })
  })

  test.each([
    ['true', true, undefined],
    ['an id', 'ada', 'ada'],
    ['an object with an id', { userId: 'ada' }, 'ada'],
    ['an object with groups', { groups: ['staff'] }, undefined],
    ['an empty object', {}, undefined],
  ])('lets a client in when it returns %s', async (_, answer, userId) => {
    const { wss } = startFake({ authorize: () => answer })
    const client = await wss.connect()
    expect(client.frames[0].event).toBe('connected')
    expect(client.frames[0].userId).toBe(userId)
  })

  test.each([false, undefined, null, 0, ''])('refuses a client when it returns %j', async answer => {
    const { wss, errors } = startFake({ authorize: () => answer as any })
    expect((await wss.connect()).end?.code).toBe(1008)
    expect(errors).toEqual([])
  })
})

test.each([
  ['authorise', 'authorize'],
  ['onMesage', 'onMessage'],
  ['maxGroup', 'maxGroups'],
  ['dedupWindow', 'dedupeWindow'],
])('a server with the misspelt option %s throws a TypeError that names %s', (name, nearest) => {
  expect(() => startFake({ [name]: () => false } as object)).toThrow(
    new TypeError(`createReliableServer has no option '${name}'. Did you mean '${nearest}'?`),
  )
})

test('a server with an option that is named like an inherited property throws a TypeError', () => {
  expect(() => startFake({ constructor: () => false } as object)).toThrow(TypeError)
})
