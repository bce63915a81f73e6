import { forceCloseDatabase } from 'fake-indexeddb'
import { describe, expect, test } from 'vitest'
import { cleanUp } from '../support/cleanup.ts'
import { startBrowser, startServer, type Tab, until } from './tabs.ts'

cleanUp()

const ready = async (...tabs: Tab[]) => {
  for (const { socket } of tabs) await until(() => socket.state.name === 'open')
}

/** How many frames the server has received from each tab. */
const sentBy = (...tabs: Tab[]) => tabs.map(({ socket }) => socket.stats.sent)

describe('two tabs with the same outbox', () => {
  test('have their messages sent by one of them, in order, and each resolves its own promises', async () => {
    const { url, handled } = await startServer()
    const { open } = startBrowser()
    const first = open(url)
    // It has the turn.
    await first.socket.send('first')
    const second = open(url)
    await ready(second)
    const [before = 0] = sentBy(second)
    const outcomes = [1, 2, 3].map(n => second.socket.send(n))
    for (const outcome of outcomes) expect(await outcome).toEqual({ status: 'delivered' })
    expect(handled).toEqual(['first', 1, 2, 3])
    expect(sentBy(second)).toEqual([before])
    expect(first.outcomes.map(({ data }) => data)).toEqual([1, 2, 3])
    expect(second.outcomes).toEqual([])
  })

  test.each<[string, (tab: Tab) => void]>([
    ['closes its socket', ({ socket }) => socket.close()],
    ['crashes', tab => tab.crash()],
    ['enters the back/forward cache', tab => tab.fire('pagehide')],
    ['is frozen', tab => tab.fire('freeze')],
  ])('send on when the one that sends %s', async (_, end) => {
    const { url, handled } = await startServer()
    const { open } = startBrowser()
    const first = open(url)
    await first.socket.send('first')
    const second = open(url)
    await ready(second)
    end(first)
    expect(await second.socket.send('second')).toEqual({ status: 'delivered' })
    expect(handled).toEqual(['first', 'second'])
  })

  test('resolve a promise as unknown if the outcome came while its tab was in the back/forward cache', async () => {
    const gate: { wait?: Promise<unknown> | undefined } = {}
    let release = () => {}
    gate.wait = new Promise<void>(resolve => {
      release = resolve
    })
    const { url, handled } = await startServer(gate)
    const { open } = startBrowser()
    const first = open(url)
    await ready(first)
    first.socket.send('w')
    await until(() => first.socket.stats.inFlight)
    const second = open(url)
    await ready(second)
    const outcome = second.socket.send('x')
    await until(() => first.socket.stats.inFlight === 2)
    second.fire('pagehide')
    release()
    await until(() => first.outcomes.length)
    await until(async () => (await first.outbox.pending()).length === 0)
    second.fire('pageshow')
    expect(await outcome).toEqual({ status: 'unknown' })
    expect(handled).toEqual(['w', 'x'])
  })

  test('both drop their messages when one of them clears the outbox', async () => {
    const { open } = startBrowser()
    const [first, second] = [open('ws://127.0.0.1:9'), open('ws://127.0.0.1:9')]
    const outcomes = [first.socket.send(1), second.socket.send(2)]
    await until(async () => (await first.outbox.pending()).length === 2)
    await first.outbox.clear()
    for (const outcome of outcomes) expect(await outcome).toEqual({ status: 'dropped', reason: 'cleared' })
    expect(await second.outbox.pending()).toEqual([])
  })

  test('send their own messages and those of earlier pages if there are no Web Locks, and report that', async () => {
    const { url, handled } = await startServer()
    const { open } = startBrowser({ hasLocks: false })
    const gone = open('ws://127.0.0.1:9')
    gone.socket.send('left')
    await until(async () => (await gone.outbox.pending()).length)
    gone.crash()
    const [first, second] = [open(url), open(url)]
    await Promise.all([first.socket.send('first'), second.socket.send('second')])
    expect([...handled].sort()).toEqual(['first', 'left', 'second'])
    expect(first.problems.map(({ reason }) => reason)).toEqual(['unlocked'])
  })
})

describe('the messages of a user', () => {
  test('are not sent, listed or cleared by the page of another user', async () => {
    const { url, handled } = await startServer()
    const { open } = startBrowser()
    const ann = open('ws://127.0.0.1:9', { user: 'ann' })
    ann.socket.send('of ann')
    await until(async () => (await ann.outbox.pending()).length)
    ann.crash()
    const bob = open(`${url}/bob`, { user: 'bob' })
    await bob.socket.send('of bob')
    expect(await bob.outbox.pending()).toEqual([])
    await bob.outbox.clear()
    expect(handled).toEqual(['of bob'])
    const again = open(`${url}/ann`, { user: 'ann' })
    await again.socket.send('last')
    expect(handled).toEqual(['of bob', 'of ann', 'last'])
  })

  test('have a database that no other name and user have', async () => {
    const { open, indexedDB } = startBrowser()
    for (const [name, user] of [
      ['a:b', 'c'],
      ['a', 'b:c'],
    ]) {
      const tab = open('ws://127.0.0.1:9', { name: name as string, user: user as string })
      await tab.outbox.pending()
    }
    expect(await indexedDB.databases()).toHaveLength(2)
  })
})

describe('the database', () => {
  const DATABASE = 'steadysocket-outbox:orders:'

  test('that a newer version has changed is reported, and messages are sent without it', async () => {
    const { url, handled } = await startServer()
    const { open, indexedDB } = startBrowser()
    await new Promise(resolve => {
      indexedDB.open(DATABASE, 2).onsuccess = ({ target }) => {
        ;(target as IDBOpenDBRequest).result.close()
        resolve(undefined)
      }
    })
    const { socket, problems } = open(url)
    expect(await socket.send('x')).toEqual({ status: 'delivered' })
    expect(handled).toEqual(['x'])
    expect(problems).toMatchObject([{ reason: 'newer', cause: { name: 'VersionError' } }])
  })

  test('that another page deletes is not in its way, and is filled again', async () => {
    const { url, handled } = await startServer()
    const { open, indexedDB } = startBrowser()
    const first = open('ws://127.0.0.1:9')
    first.socket.send('x')
    await until(async () => (await first.outbox.pending()).length)
    await new Promise(resolve => {
      indexedDB.deleteDatabase(DATABASE).onsuccess = resolve
    })
    expect(first.problems).toMatchObject([{ reason: 'closed', messages: [{ data: 'x' }] }])
    await first.outbox.pending()
    first.crash()
    const second = open(url)
    await second.socket.send('last')
    expect(handled).toEqual(['x', 'last'])
  })

  test('that the browser closes is opened again', async () => {
    const { url, handled } = await startServer()
    const { open, indexedDB } = startBrowser()
    const { socket, problems } = open(url)
    await socket.send('first')
    for (const { connections } of (indexedDB as any)._databases.values())
      for (const connection of connections) forceCloseDatabase(connection)
    expect(await socket.send('second')).toEqual({ status: 'delivered' })
    expect(handled).toEqual(['first', 'second'])
    expect(problems).toMatchObject([{ reason: 'closed' }])
  })
})
