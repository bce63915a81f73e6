// Sending to users over real connections, on several nodes, with each kind of store.
import { expect, test } from 'vitest'
import type { ReliableServerOptions } from '../../src/server.ts'
import { cleanUp } from '../support/cleanup.ts'
import { eventually } from '../support/eventually.ts'
import { comeBack, forEachStore, join, startNode } from './server-rig.ts'

cleanUp()

forEachStore(({ next }) => {
  /** The user of each connection is its path. */
  const start = (options: ReliableServerOptions<any> = {}) =>
    startNode({ store: next(), authorize: ({ url }) => /^\/(\w+)/.exec(url ?? '')?.[1] ?? true, ...options })

  test('a message to a user reaches all sessions of the user on all nodes, including one without a connection', async () => {
    const [a, b] = [await start(), await start()]
    const [here, there, away] = [
      await join(`${a.url}/ada`),
      await join(`${b.url}/ada`),
      await join(`${b.url}/ada`),
    ]
    const bob = await join(`${a.url}/bob`)
    away.socket.terminate()
    await away.closed()
    await eventually(async () => {
      const sessions = await a.server.user('ada').sessions()
      expect(sessions.map(({ isConnected }) => isConnected)).toEqual([false, true, true])
    })
    expect(await a.server.user('ada').send('hello')).toBe(3)
    for (const peer of [here, there, await join(away.recovery)])
      expect((await peer.got(1))[0].data).toBe('hello')
    expect(await a.server.user('ada').join('team')).toBe(3)
    expect((await b.server.members('team')).every(({ userId }) => userId === 'ada')).toBe(true)
    expect(await b.server.user('ada').end(4401, 'signed out')).toBe(3)
    for (const peer of [here, there]) expect((await peer.closed()).code).toBe(4401)
    expect(bob.messages).toEqual([])
    expect(bob.end).toBeUndefined()
  })

  test('deliver() resolves when the client has acknowledged, wherever it is connected', async () => {
    const [a, b] = [await start(), await start()]
    const peer = await join(`${a.url}/ada`)
    let isDone = false
    const delivered = b.server.deliver(peer.id, 'x').then(is => {
      isDone = true
      return is
    })
    await peer.got(1)
    const back = await comeBack(peer, b.url.concat('/ada'))
    await back.got(1)
    expect(isDone).toBe(false)
    back.send({ type: 'sequenceAck', sequenceId: 1 })
    expect(await delivered).toBe(true)
    const lost = a.server.deliver(peer.id, 'y')
    await back.got(2)
    await b.server.end(peer.id)
    expect(await lost).toBe(false)
  })

  test('the groups of a user are refreshed when the session is resumed on another node', async () => {
    const groups: Record<string, string[]> = { a: ['staff', 'news'], b: ['news'] }
    const [a, b] = [
      await start({ authorize: () => ({ userId: 'ada', groups: groups.a as string[] }) }),
      await start({ authorize: () => ({ userId: 'ada', groups: groups.b as string[] }) }),
    ]
    const peer = await join(a.url)
    expect(await a.server.members('staff')).toHaveLength(1)
    await comeBack(peer, b.url)
    expect(await a.server.members('staff')).toEqual([])
    expect(await a.server.members('news')).toHaveLength(1)
  })

  test('maxSessions limits the sessions of a user on all nodes together', async () => {
    const options = { maxSessions: { user: 2 } }
    const [a, b] = [await start(options), await start(options)]
    const [first] = [await join(`${a.url}/ada`), await join(`${b.url}/ada`)]
    const refused = await join(`${b.url}/ada`).catch(error => error)
    expect(String(refused)).toContain('1013 too many sessions of this user')
    first.socket.terminate()
    await eventually(async () => expect((await join(`${b.url}/ada`)).id).toBeTruthy())
    expect(await a.server.user('ada').sessions()).toHaveLength(2)
  })
})
