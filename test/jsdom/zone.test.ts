// The guide's recipe for Angular, with zone.js and without fake timers, because they would replace those that zone.js patches.
import 'zone.js'
// Angular's packages are compiled when they are loaded.
import '@angular/compiler'
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { computed, Injector, NgZone, runInInjectionContext } from '@angular/core'
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest'
import { createSocket, type SocketOptions } from '../../src/index.ts'
import { createFakeServer, type FakeServer } from '../../src/testing.ts'
import { pieceWith, root } from '../package/pieces.ts'
import { eventually } from '../support/eventually.ts'

/** Part of the global `Zone` of zone.js. */
interface Zone {
  readonly name: string
  run<Result>(job: () => Result): Result
  fork(specification: object): Zone
}
declare const Zone: { readonly root: Zone; readonly current: Zone }

const folder = `${root}.tmp/angular-${process.pid}/`
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A zone like Angular's NgZone: it runs jobs, and records whether timers are pending in it. */
const createNgZone = () => {
  let isPending = false
  const inner = Zone.current.fork({
    name: 'angular',
    onHasTask(delegate: any, current: Zone, target: Zone, state: { change: string; macroTask: boolean }) {
      delegate.hasTask(target, state)
      if (current === target && state.change === 'macroTask') isPending = state.macroTask
    },
  })
  return {
    run: <Result>(job: () => Result) => inner.run(job),
    runOutsideAngular: <Result>(job: () => Result) => Zone.root.run(job),
    isPending: () => isPending,
  }
}

/** Waits until the server has had this many connections, and the newest is open. */
const untilOpen = (server: FakeServer, attempts: number) =>
  eventually(() => expect([server.attempts, server.clients.length]).toEqual([attempts, 1]))
const heartbeat = { interval: 10_000, message: 'ping' }

const closing: { close(): void }[] = []
afterEach(() => {
  for (const socket of closing.splice(0)) socket.close()
})

test('a socket with a heartbeat that is made in Angular’s zone keeps the application unstable', async () => {
  const zone = createNgZone()
  const server = createFakeServer()
  closing.push(
    zone.run(() => createSocket('wss://push.example.com/', { WebSocket: server.WebSocket, heartbeat })),
  )
  await untilOpen(server, 1)
  expect(zone.isPending()).toBe(true)
})

describe('the guide’s recipe for Angular', () => {
  const create = async (zone: object, options: SocketOptions, limit?: number) => {
    const input = pieceWith('demo/docs/angular.md', 'injectSocket')
    // In a process of its own: esbuild does not run in jsdom.
    const code = execFileSync('node_modules/.bin/esbuild', ['--loader=ts'], { cwd: root, input })
    mkdirSync(folder, { recursive: true })
    const path = `${folder}${Math.random().toString(36).slice(2)}.mjs`
    writeFileSync(path, code)
    const { injectSocket } = await import(/* @vite-ignore */ path)
    const injector = Injector.create({ providers: [{ provide: NgZone, useValue: zone }] })
    const feed = runInInjectionContext(injector, () =>
      injectSocket('wss://push.example.com/', options, limit),
    )
    return { feed, destroy: () => injector.destroy() }
  }

  test('has signals of the state and of the last messages, and closes the socket with the component', async () => {
    const server = createFakeServer()
    const { feed, destroy } = await create(new NgZone({}), { WebSocket: server.WebSocket }, 3)
    expect([feed.state().name, feed.messages()]).toEqual(['connecting', []])
    await untilOpen(server, 1)
    const name = computed(() => feed.state().name)
    expect(name()).toBe('open')
    let changes = 0
    const shown = computed(() => {
      changes++
      return feed.messages()
    })
    expect(shown()).toEqual([])
    for (let n = 1; n <= 1_000; n++) server.latest.send(`${n}`)
    await eventually(() => expect(shown()).toEqual(['998', '999', '1000']))
    expect(changes).toBe(2)
    feed.send('hello')
    expect(server.latest.received).toEqual(['hello'])
    destroy()
    await eventually(() => expect([name(), server.clients]).toEqual(['closed', []]))
  })

  test('leaves the application stable', async () => {
    const zone = createNgZone()
    const server = createFakeServer()
    const options = { WebSocket: server.WebSocket, heartbeat, retry: () => 10 }
    const { feed, destroy } = await zone.run(() => create(zone, options))
    await untilOpen(server, 1)
    expect(zone.isPending()).toBe(false)
    zone.run(() => feed.reconnect())
    expect(zone.isPending()).toBe(false)
    await untilOpen(server, 2)
    zone.run(() => feed.send('hello'))
    server.latest.send('text')
    expect(zone.isPending()).toBe(false)
    await eventually(() => expect(feed.messages()).toEqual(['text']))
    destroy()
  })

  test('connects nothing on a server', async () => {
    vi.stubGlobal('window', undefined)
    const server = createFakeServer()
    const { feed, destroy } = await create(createNgZone(), { WebSocket: server.WebSocket })
    vi.unstubAllGlobals()
    await new Promise(resolve => setTimeout(resolve))
    expect([feed.state().name, server.attempts]).toEqual(['closed', 0])
    destroy()
  })
})
