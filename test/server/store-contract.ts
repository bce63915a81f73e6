// Tests of the contract of a store, which can be run with any store.
import { describe, expect, test } from 'vitest'
import { userGroup } from '../../src/server/store.ts'
import type { Effect, Store, StoreEvent, StoreLimits, StoreNode } from '../../src/server.ts'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { eventually } from '../support/eventually.ts'

export const storeLimits: StoreLimits = {
  sessionTimeout: 60_000,
  maxUnacknowledged: 5,
  maxUnacknowledgedBytes: 1_000,
  maxGroups: 3,
  dedupeWindow: 4,
  idTimeout: 604_800_000,
  maxIds: 10_000,
}

/** `next`: returns a store for one more node, with the same sessions as the other stores of this test. */
export const describeStore = (next: () => Store): void => {
  cleanUp()

  const open = async (limits: Partial<StoreLimits> = {}) => {
    const news: StoreEvent[] = []
    const node = await next().open({ ...storeLimits, ...limits }, piece => news.push(piece))
    cleanup(() => node.close())
    return Object.assign(node, { news })
  }
  const begin = (node: StoreNode, id = 'a', groups: string[] = []) =>
    node.create({ id, token: 't1', userId: 'u', groups })
  const send = (session: string, frame: string): Effect => ({ kind: 'send', session, frame })
  const frames = async (node: StoreNode, id = 'a', epoch = 1) =>
    (await node.read(id, epoch, 0, 100))?.map(({ sequenceId, frame }) => [sequenceId, frame])

  describe('resuming a session', () => {
    test('increases the epoch and replaces the token', async () => {
      const node = await open()
      expect(await begin(node)).toBe(true)
      expect(await node.resume('a', 't1', 't2', 'u')).toEqual({
        epoch: 2,
        sequenceId: 0,
        acknowledged: 0,
        handled: [],
      })
      expect((await node.resume('a', 't2', 't3', 'u'))?.epoch).toBe(3)
      expect(await node.resume('a', 't1', 't9', 'u')).toBeUndefined()
    })

    test('accepts the older token until the newer one is confirmed', async () => {
      const node = await open()
      await begin(node)
      await node.resume('a', 't1', 't2', 'u')
      expect((await node.resume('a', 't1', 't3', 'u'))?.epoch).toBe(3)
      await node.confirm('a', 2)
      expect((await node.resume('a', 't1', 't4', 'u'))?.epoch).toBe(4)
      await node.confirm('a', 4)
      for (const old of ['t1', 't2', 't3']) expect(await node.resume('a', old, 't9', 'u')).toBeUndefined()
      expect((await node.resume('a', 't4', 't5', 'u'))?.epoch).toBe(5)
    })

    test('keeps the token that the client holds valid, even if an older attempt arrives last', async () => {
      const node = await open()
      await begin(node)
      // Two attempts with t1. The client reads the answer to the first one. The other connection was abandoned before.
      await node.resume('a', 't1', 't2', 'u')
      await node.resume('a', 't1', 't3', 'u')
      expect((await node.resume('a', 't2', 't4', 'u'))?.epoch).toBe(4)
      expect(await node.resume('a', 't1', 't9', 'u')).toBeUndefined()
      expect((await node.resume('a', 't3', 't5', 'u'))?.epoch).toBe(5)
    })

    test('remembers at most eight tokens: the last one with which the session was resumed, and the newest', async () => {
      const node = await open()
      await begin(node)
      for (let i = 2; i <= 20; i++) await node.resume('a', 't1', `t${i}`, 'u')
      expect(await node.resume('a', 't13', 't99', 'u')).toBeUndefined()
      expect((await node.resume('a', 't14', 't21', 'u'))?.epoch).toBe(21)
    })

    test('is refused to other users, for other sessions, and without a token', async () => {
      const node = await open()
      await begin(node)
      expect(await node.resume('a', 't1', 't2', 'v')).toBeUndefined()
      expect(await node.resume('a', 't1', 't2', '')).toBeUndefined()
      expect(await node.resume('b', 't1', 't2', 'u')).toBeUndefined()
      expect(await node.resume('a', '', 't2', 'u')).toBeUndefined()
      await node.confirm('a', 1)
      expect(await node.resume('a', '', 't2', 'u')).toBeUndefined()
      expect((await node.resume('a', 't1', 't2', 'u'))?.epoch).toBe(2)
    })

    test('notifies the previous node, unless it is the same one', async () => {
      const [first, second] = [await open(), await open()]
      await begin(first)
      await first.resume('a', 't1', 't2', 'u')
      await second.resume('a', 't2', 't3', 'u')
      await eventually(() => expect(first.news).toEqual([{ kind: 'moved', session: 'a', epoch: 3 }]))
      expect(second.news).toEqual([])
    })

    test('invalidates everything that an older epoch asks for', async () => {
      const [first, second] = [await open(), await open()]
      await begin(first)
      await first.commit([send('a', '{1}')])
      await second.resume('a', 't1', 't2', 'u')
      const claim = { session: 'a', epoch: 1, ackId: 1 }
      expect(await first.commit([send('a', '{2}')], claim)).toEqual({ outcome: 'lost', count: 0 })
      await first.acknowledge('a', 1, 1)
      await first.confirm('a', 1)
      expect(await first.read('a', 1, 0, 10)).toBeUndefined()
      expect(await first.touch([{ id: 'a', epoch: 1 }])).toEqual([-1])
      expect(await second.touch([{ id: 'a', epoch: 2 }])).toEqual([1])
      expect(await frames(second, 'a', 2)).toEqual([[1, '{1}']])
    })
  })

  describe('a commit', () => {
    test('applies all effects and remembers the id, once', async () => {
      const node = await open()
      await begin(node)
      await begin(node, 'b')
      const effects: Effect[] = [
        { kind: 'join', session: 'a', group: 'g' },
        { kind: 'join', session: 'b', group: 'g' },
        send('a', '{1}'),
        { kind: 'publish', group: 'g', frame: '{2}', except: 'b' },
        { kind: 'leave', session: 'a', group: 'g' },
        { kind: 'publish', group: 'g', frame: '{3}' },
      ]
      const claim = { session: 'a', epoch: 1, ackId: 17 }
      expect(await node.commit(effects, claim)).toEqual({ outcome: 'done', count: 1 })
      expect(await node.commit(effects, claim)).toEqual({ outcome: 'duplicate', count: 0 })
      expect(await frames(node)).toEqual([
        [1, '{1}'],
        [2, '{2}'],
      ])
      expect(await frames(node, 'b')).toEqual([[1, '{3}']])
      expect((await node.resume('a', 't1', 't2', 'u'))?.handled).toEqual([17])
    })

    test('changes nothing if it is refused', async () => {
      const node = await open()
      await begin(node, 'a', ['x', 'y'])
      const join = (group: string): Effect => ({ kind: 'join', session: 'a', group })
      const claim = (ackId: number) => ({ session: 'a', epoch: 1, ackId })
      const members: Effect = { kind: 'publish', group: 'g', frame: '{}', membersOnly: true }
      expect((await node.commit([send('a', '{1}'), members], claim(1))).outcome).toBe('forbidden')
      expect((await node.commit([send('a', '{1}'), join('z'), join('w')], claim(1))).outcome).toBe('full')
      expect(await frames(node)).toEqual([])
      expect((await node.commit([join('z'), join('z'), join('x')], claim(1))).outcome).toBe('done')
      expect((await node.commit([join('w')])).outcome).toBe('full')
      expect((await node.commit([send('nobody', '{}'), join('x')])).outcome).toBe('done')
      expect((await node.commit([{ kind: 'join', session: 'nobody', group: 'x' }])).count).toBe(0)
      expect((await node.commit([{ ...members, group: 'z' }], claim(2))).count).toBe(1)
    })

    test.each(['count', '__proto__', 'constructor', '1', ' ', 'a:b', '*', '\u0000', 'é💡'])(
      'joins a group named %j like any other',
      async group => {
        const node = await open()
        await begin(node)
        const effects: Effect[] = [
          { kind: 'join', session: 'a', group },
          { kind: 'join', session: 'a', group: 'other' },
          { kind: 'publish', group, frame: '{1}' },
        ]
        const claim = { session: 'a', epoch: 1, ackId: 1 }
        expect(await node.commit(effects, claim)).toEqual({ outcome: 'done', count: 1 })
        expect(await node.commit(effects, claim)).toEqual({ outcome: 'duplicate', count: 0 })
        expect(await frames(node)).toEqual([[1, '{1}']])
        const more = ['x', 'y'].map((name): Effect => ({ kind: 'join', session: 'a', group: name }))
        expect((await node.commit(more)).outcome).toBe('full')
      },
    )

    test('remembers as many ids as dedupeWindow allows', async () => {
      const node = await open()
      await begin(node)
      const claim = (ackId: number) => ({ session: 'a', epoch: 1, ackId })
      // Not in order, because other clients may choose any ids.
      for (const id of [9_007_199_254_740_991, 3, 0, 7, 5]) await node.commit([], claim(id))
      expect((await node.commit([], claim(3))).outcome).toBe('duplicate')
      expect((await node.resume('a', 't1', 't2', 'u'))?.handled).toEqual([3, 0, 7, 5])
    })

    test('is applied every time if it has no id', async () => {
      const node = await open()
      await begin(node)
      for (const _ of [1, 2]) await node.commit([send('a', '{}')], { session: 'a', epoch: 1 })
      expect((await frames(node))?.length).toBe(2)
    })

    test('notifies the node that holds the session, whichever node commits', async () => {
      const [first, second] = [await open(), await open()]
      await begin(first)
      await second.commit([send('a', '{1}'), send('a', '{2}')])
      const notice = (sequenceId: number, frame: string) => ({
        kind: 'messages',
        session: 'a',
        message: { sequenceId, frame },
      })
      await eventually(() => expect(first.news).toEqual([notice(1, '{1}'), notice(2, '{2}')]))
      expect(second.news).toEqual([])
    })

    test('to the group of all sessions reaches every session', async () => {
      const node = await open()
      for (const id of ['a', 'b', 'c']) await begin(node, id)
      await node.end('b', 1008, 'x')
      expect((await node.commit([{ kind: 'publish', group: '', frame: '{}', except: 'c' }])).count).toBe(1)
      expect((await node.commit([{ kind: 'publish', group: '', frame: '{}' }])).count).toBe(2)
    })

    test.each([
      ['messages', Array.from({ length: 6 }, () => '{}')],
      ['bytes', ['x'.repeat(500), 'é'.repeat(251)]],
    ])('with more %s than a session may hold ends the session', async (_, list) => {
      const node = await open()
      await begin(node, 'a', ['g'])
      const { outcome, count } = await node.commit(
        list.map(frame => send('a', frame)),
        { session: 'a', epoch: 1, ackId: 1 },
      )
      expect([outcome, count]).toEqual(['done', 0])
      const end = {
        kind: 'ended',
        session: 'a',
        userId: 'u',
        code: 1013,
        reason: 'slow consumer: too much is unacknowledged',
      }
      await eventually(() => expect(node.news).toContainEqual(end))
      expect(await node.resume('a', 't1', 't2', 'u')).toBeUndefined()
      expect((await node.commit([{ kind: 'publish', group: 'g', frame: '{}' }])).count).toBe(0)
    })
  })

  describe('a patient commit', () => {
    const publish: Effect = { kind: 'publish', group: 'g', frame: '{}' }
    const claim = (ackId: number) => ({ session: 'a', epoch: 1, ackId, patient: true })

    test('is refused as busy instead of ending a connected member that is too far behind, until the member acknowledges', async () => {
      const node = await open()
      await begin(node)
      await begin(node, 'b', ['g'])
      for (let i = 1; i <= 4; i++) expect((await node.commit([publish], claim(i))).outcome).toBe('done')
      expect((await node.commit([publish, publish], claim(5))).outcome).toBe('busy')
      expect((await node.commit([publish], claim(5))).outcome).toBe('done')
      expect((await node.commit([publish], claim(6))).outcome).toBe('busy')
      expect(await frames(node, 'b')).toHaveLength(5)
      await node.acknowledge('b', 1, 5)
      expect((await node.commit([publish], claim(6))).outcome).toBe('done')
      expect(node.news.filter(({ kind }) => kind === 'ended')).toEqual([])
    })

    test('counts bytes too', async () => {
      const node = await open()
      await begin(node)
      await begin(node, 'b', ['g'])
      const large: Effect = { ...publish, frame: `{"${'x'.repeat(594)}"}` }
      expect((await node.commit([large], claim(1))).outcome).toBe('done')
      expect((await node.commit([large], claim(2))).outcome).toBe('busy')
    })

    test('does not wait for members that are not connected: their sessions are ended', async () => {
      const node = await open()
      await begin(node)
      await begin(node, 'b', ['g'])
      await node.detach('b', 1)
      for (let i = 1; i <= 5; i++) await node.commit([publish], claim(i))
      expect(await node.commit([publish], claim(6))).toEqual({ outcome: 'done', count: 0 })
      expect(await node.resume('b', 't1', 't2', 'u')).toBeUndefined()
    })

    test('waits again for a member that was resumed', async () => {
      const node = await open()
      await begin(node)
      await begin(node, 'b', ['g'])
      await node.detach('b', 1)
      await node.resume('b', 't1', 't2', 'u')
      for (let i = 1; i <= 5; i++) await node.commit([publish], claim(i))
      expect((await node.commit([publish], claim(6))).outcome).toBe('busy')
    })
  })

  describe('the backlog', () => {
    const fill = async (node: StoreNode, count: number) => {
      await begin(node)
      for (let i = 1; i <= count; i++) await node.commit([send('a', `{${i}}`)])
    }

    test('is read from a given number on, in parts', async () => {
      const node = await open()
      await fill(node, 5)
      const numbers = async (after: number, limit: number) =>
        (await node.read('a', 1, after, limit))?.map(({ sequenceId }) => sequenceId)
      expect(await numbers(0, 2)).toEqual([1, 2])
      expect(await numbers(2, 2)).toEqual([3, 4])
      expect(await numbers(4, 2)).toEqual([5])
      expect(await numbers(5, 2)).toEqual([])
    })

    test('is freed by cumulative acknowledgements, once, and never beyond its end', async () => {
      const node = await open({ maxUnacknowledgedBytes: 15 })
      await fill(node, 5)
      await node.acknowledge('a', 1, 3)
      await node.acknowledge('a', 1, 2)
      expect(await frames(node)).toEqual([
        [4, '{4}'],
        [5, '{5}'],
      ])
      await node.acknowledge('a', 1, Number.MAX_SAFE_INTEGER)
      expect(await frames(node)).toEqual([])
      const lease = await node.resume('a', 't1', 't2', 'u')
      expect(lease).toMatchObject({ sequenceId: 5, acknowledged: 5 })
      // The freed bytes are available again, exactly.
      const counts = []
      for (let i = 0; i < 6; i++) counts.push((await node.commit([send('a', '{x}')])).count)
      expect(counts).toEqual([1, 2, 3, 4, 5, 0])
    })

    test('returns frames unchanged', async () => {
      const node = await open()
      await begin(node)
      const frame = JSON.stringify({ text: '\u0000 é 💡 \\ "', lone: '\ud800' })
      await node.commit([send('a', frame)])
      expect(await frames(node)).toEqual([[1, frame]])
    })
  })

  describe('the session timeout', () => {
    const gone = (node: StoreNode, group = 'g') =>
      eventually(async () =>
        expect((await node.commit([{ kind: 'publish', group, frame: '{}' }])).count).toBe(0),
      )

    test('starts when the connection is gone, and ends the session', async () => {
      const node = await open({ sessionTimeout: 50, maxUnacknowledged: 1_000, maxUnacknowledgedBytes: 1e6 })
      await begin(node, 'a', ['g'])
      await node.detach('a', 1)
      await gone(node)
      expect(await node.resume('a', 't1', 't2', 'u')).toBeUndefined()
      expect(await node.touch([{ id: 'a', epoch: 1 }])).toEqual([-1])
    })

    test('stops when the session is resumed', async () => {
      const node = await open({ sessionTimeout: 400, maxUnacknowledged: 1_000, maxUnacknowledgedBytes: 1e6 })
      await begin(node)
      await begin(node, 'b', ['g'])
      for (const id of ['a', 'b']) await node.detach(id, 1)
      expect((await node.resume('a', 't1', 't2', 'u'))?.epoch).toBe(2)
      const kept = setInterval(() => node.touch([{ id: 'a', epoch: 2 }]), 10)
      await gone(node)
      clearInterval(kept)
      expect((await node.resume('a', 't2', 't3', 'u'))?.epoch).toBe(3)
    })

    test('starts for the sessions of a node that closes the store', async () => {
      const [first, second] = [
        await open({ sessionTimeout: 50, maxUnacknowledged: 1_000, maxUnacknowledgedBytes: 1e6 }),
        await open({ sessionTimeout: 50, maxUnacknowledged: 1_000, maxUnacknowledgedBytes: 1e6 }),
      ]
      await begin(first, 'a', ['g'])
      await first.close()
      await gone(second)
    })
  })

  describe('the members of a group', () => {
    test('are the sessions that have joined it, of all nodes, with their users', async () => {
      const [first, second] = [await open(), await open()]
      await begin(first, 'a', ['g'])
      await second.create({ id: 'b', token: 't', userId: '', groups: [] })
      await second.commit([{ kind: 'join', session: 'b', group: 'g' }])
      const members = [
        { id: 'a', userId: 'u', isConnected: true },
        { id: 'b', userId: '', isConnected: true },
      ]
      const byId = async (group: string) =>
        [...(await first.members(group))].sort((one, other) => (one.id < other.id ? -1 : 1))
      expect(await byId('g')).toEqual(members)
      expect(await byId('')).toEqual(members)
      await first.commit([{ kind: 'leave', session: 'a', group: 'g' }])
      expect(await first.members('g')).toEqual(members.slice(1))
      expect(await first.members('nobody')).toEqual([])
    })

    test('begin with those that have been without a connection for the longest', async () => {
      const node = await open()
      for (const id of ['a', 'b', 'c', 'd']) await begin(node, id)
      await node.detach('c', 1)
      await new Promise(resolve => setTimeout(resolve, 2))
      await node.detach('a', 1)
      await node.detach('d', 1)
      await node.resume('d', 't1', 't2', 'u')
      const members = await node.members(userGroup('u'))
      expect(members.slice(0, 2).map(({ id, isConnected }) => [id, isConnected])).toEqual([
        ['c', false],
        ['a', false],
      ])
      expect(members.slice(2).map(({ isConnected }) => isConnected)).toEqual([true, true])
    })

    test('are listed completely, however many there are', async () => {
      const node = await open()
      const ids = Array.from({ length: 450 }, (_, i) => `s${i}`)
      await Promise.all(ids.map(id => begin(node, id)))
      expect((await node.members('')).map(({ id }) => id).sort()).toEqual(ids.sort())
    })

    test('of the group of a user are the sessions of the user, and count for no limit', async () => {
      const node = await open()
      await begin(node, 'a')
      await node.create({ id: 'b', token: 't', userId: 'v', groups: [] })
      await node.create({ id: 'c', token: 't', userId: '', groups: [] })
      expect((await node.members(userGroup('u'))).map(({ id }) => id)).toEqual(['a'])
      expect(await node.members(userGroup(''))).toEqual([])
      const publication = { kind: 'publish', group: userGroup('v'), frame: '{}' } as const
      expect((await node.commit([publication])).count).toBe(1)
      for (const session of ['a', 'c']) {
        const join = (group: string) => node.commit([{ kind: 'join', session, group }])
        for (const group of ['1', '2', '3']) expect((await join(group)).outcome).toBe('done')
        expect((await join('4')).outcome).toBe('full')
      }
      await node.end('a', 1008, 'x')
      expect(await node.members(userGroup('u'))).toEqual([])
    })
  })

  describe('the groups that a session is given', () => {
    test('are refreshed when it is resumed, on any node, without those that it joined in another way', async () => {
      const [first, second] = [await open(), await open()]
      await begin(first, 'a', ['old', 'kept'])
      await first.commit([{ kind: 'join', session: 'a', group: 'own' }])
      const groups = async () => {
        const found = []
        for (const group of ['old', 'kept', 'own', 'new', ''])
          if ((await first.members(group)).length) found.push(group)
        return found
      }
      expect(await groups()).toEqual(['old', 'kept', 'own', ''])
      await second.resume('a', 't1', 't2', 'u', ['kept', 'new'])
      expect(await groups()).toEqual(['kept', 'own', 'new', ''])
      await first.resume('a', 't2', 't3', 'u')
      expect(await groups()).toEqual(['kept', 'own', 'new', ''])
      await first.resume('a', 't3', 't4', 'u', [])
      expect(await groups()).toEqual(['own', ''])
    })

    test('stay as they are if it is refused', async () => {
      const node = await open()
      await begin(node, 'a', ['g'])
      expect(await node.resume('a', 'wrong', 't2', 'u', ['h'])).toBeUndefined()
      expect(await node.members('g')).toHaveLength(1)
      expect(await node.members('h')).toEqual([])
    })
  })

  test('the progress of a session is its newest number and its last acknowledged one', async () => {
    const [first, second] = [await open(), await open()]
    await begin(first)
    expect(await second.progress('a')).toEqual({ sequenceId: 0, acknowledged: 0 })
    for (let i = 0; i < 3; i++) await second.commit([send('a', '{}')])
    await first.acknowledge('a', 1, 2)
    await eventually(async () =>
      expect(await second.progress('a')).toEqual({ sequenceId: 3, acknowledged: 2 }),
    )
    expect(await second.progress('b')).toBeUndefined()
    await first.end('a', 1008, 'x')
    expect(await second.progress('a')).toBeUndefined()
  })

  test('ending a session notifies its node and removes it from its groups', async () => {
    const [first, second] = [await open(), await open()]
    await begin(first, 'a', ['g'])
    expect(await second.end('a', 4000, 'a reason: with 3 words')).toBe(true)
    const end = { kind: 'ended', session: 'a', userId: 'u', code: 4000, reason: 'a reason: with 3 words' }
    await eventually(() => expect(first.news).toEqual([end]))
    expect(await second.end('a', 4000, 'x')).toBe(false)
    expect((await first.commit([{ kind: 'publish', group: 'g', frame: '{}' }])).count).toBe(0)
  })

  describe('the id of a message that outlives sessions', () => {
    const message = { owner: '=u', id: 'm1' }
    const claim = (session: string, key = message) => ({ session, epoch: 1, message: key })

    test('is remembered with the effects, for all sessions on all nodes', async () => {
      const [first, second] = [await open(), await open()]
      await begin(first)
      await begin(second, 'b')
      expect(await first.reserve?.(message, 'a')).toBe('reserved')
      expect((await first.commit([send('a', '{1}')], claim('a'))).outcome).toBe('done')
      expect(await second.reserve?.(message, 'b')).toBe('processed')
      expect(await second.commit([send('b', '{1}')], claim('b'))).toEqual({ outcome: 'duplicate', count: 0 })
      expect(await frames(second, 'b')).toEqual([])
      await first.end('a', 1008, 'x')
      expect(await second.reserve?.(message, 'b')).toBe('processed')
    })

    test('is reserved by one session at a time, which can reserve it again on another node', async () => {
      const [first, second] = [await open(), await open()]
      await begin(first)
      await begin(second, 'b')
      expect(await first.reserve?.(message, 'a')).toBe('reserved')
      expect(await second.reserve?.(message, 'b')).toBe('busy')
      await second.release?.(message, 'b')
      expect(await second.reserve?.(message, 'b')).toBe('busy')
      await first.release?.(message, 'a')
      expect(await second.reserve?.(message, 'b')).toBe('reserved')
      expect(await first.reserve?.(message, 'b')).toBe('reserved')
    })

    test('belongs to its owner: the same id of another one is another message', async () => {
      const node = await open()
      await begin(node)
      const other = { owner: '=v', id: 'm1' }
      await node.commit([], claim('a'))
      expect(await node.reserve?.(other, 'a')).toBe('reserved')
      expect((await node.commit([], claim('a', other))).outcome).toBe('done')
    })

    test('is not remembered if the commit is refused', async () => {
      const node = await open()
      await begin(node)
      const forbidden: Effect = { kind: 'publish', group: 'g', frame: '{}', membersOnly: true }
      expect((await node.commit([forbidden], claim('a'))).outcome).toBe('forbidden')
      expect(await node.reserve?.(message, 'a')).toBe('reserved')
    })

    test('is forgotten first among more than maxIds of its owner, and not because of another owner', async () => {
      const node = await open({ maxIds: 3 })
      await begin(node)
      const key = (owner: string, n: number) => ({ owner, id: `m${n}` })
      await node.commit([], claim('a', key('=quiet', 1)))
      for (let n = 1; n <= 20; n++) {
        await node.commit([], claim('a', key('=loud', n)))
        // Redis orders those of one millisecond by their names.
        await new Promise(resolve => setTimeout(resolve, 2))
      }
      const known = async (owner: string, n: number) =>
        (await node.reserve?.(key(owner, n), 'a')) === 'processed'
      expect(await known('=quiet', 1)).toBe(true)
      expect(await Promise.all([17, 18, 19, 20].map(n => known('=loud', n)))).toEqual([
        false,
        true,
        true,
        true,
      ])
    })

    test('is forgotten after idTimeout', async () => {
      const node = await open({ idTimeout: 1 })
      await begin(node)
      await node.commit([], claim('a'))
      await eventually(async () => {
        await node.commit([], claim('a', { owner: '=u', id: `other${Math.random()}` }))
        expect(await node.reserve?.(message, 'a')).toBe('reserved')
      })
    })
  })
}
