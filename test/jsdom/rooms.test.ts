// Reactive sources in Svelte and Solid, whose components are compiled: test/frameworks/apps/room-*.
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { FakeServer } from '../../src/testing.ts'
import { buildCode, importCode } from '../frameworks/load.ts'
import { root } from '../package/pieces.ts'
import { fakeNetwork } from '../support/network.ts'

interface Room {
  set(props: { room?: string; wanted?: string }): void
  flush(): void
  unmount(): void
}

interface Module {
  mount(target: Element): Room
  suspend(target: Element, loaded: Promise<string>): { hide(): void; unmount(): void }
}

const FRAME = 16

let server: FakeServer
let target: Element
beforeEach(() => {
  vi.useRealTimers()
  target = document.createElement('div')
  document.body.append(target)
})
afterEach(() => document.body.replaceChildren())

const text = (place: string) => document.querySelector(`.${place}`)?.textContent

describe.each([
  ['svelte', 'room-svelte.ts'],
  ['solid', 'room-solid.tsx'],
])('a component in %s', (name, file) => {
  let code: string
  beforeAll(() => {
    code = buildCode(`${root}test/frameworks/apps/${file}`, '--development')
  })

  test('updates when its sources change: the URL, the selection and json()', async () => {
    const { mount } = await importCode<Module>(code)
    server = fakeNetwork()
    const renders: Record<string, number> = {}
    vi.stubGlobal('renders', renders)
    const room = mount(target)
    const advance = async (ms: number) => {
      await vi.advanceTimersByTimeAsync(ms)
      room.flush()
    }
    const press = () => document.querySelector('button')?.click()
    const roomOf = (name: string) =>
      server.connections.find(({ socket }) => socket.url === `wss://push.example.com/${name}`)
    expect([text('state'), text('wanted'), text('values')]).toEqual(['connecting', 'false', '[]'])
    await advance(0)
    expect([text('state'), text('wanted')]).toEqual(['open', 'true'])
    expect(server.attempts).toBe(2)

    press()
    expect(roomOf('a')?.received).toEqual(['{"hello":"a"}'])
    roomOf('a')?.send('{"n":1}').send('{"n":2}').send('{"n":3}')
    const before = renders.values ?? 0
    await advance(FRAME)
    expect([text('values'), renders.values]).toEqual(['[{"n":2},{"n":3}]', before + 1])

    // In Svelte, `$derived` is for that.
    room.set({ wanted: 'closed' })
    room.flush()
    expect(text('wanted')).toBe(String(name === 'svelte'))

    room.set({ room: 'b', wanted: 'open' })
    room.flush()
    expect(text('values')).toBe('[]')
    await advance(0)
    press()
    expect(roomOf('b')?.received).toEqual(['{"hello":"b"}'])
    roomOf('b')?.send('{"n":4}')
    await advance(FRAME)
    expect([text('values'), text('wanted')]).toEqual(['[{"n":4}]', 'true'])
    await advance(1_000)
    expect(server.clients.map(({ socket }) => socket.url).sort()).toEqual([
      'wss://push.example.com/b',
      'wss://push.example.com/keyed',
    ])
    room.unmount()
    await advance(10_000)
    expect([server.clients, vi.getTimerCount()]).toEqual([[], 0])
  })
})

describe('under Suspense in Solid', () => {
  let code: string
  beforeAll(() => {
    code = buildCode(`${root}test/frameworks/apps/room-solid.tsx`, '--development')
  })

  test('a suspended view opens no connection, and connects when it is shown', async () => {
    const { suspend } = await importCode<Module>(code)
    server = fakeNetwork()
    let load: (name: string) => void = () => {}
    const view = suspend(
      target,
      new Promise(resolve => {
        load = resolve
      }),
    )
    await vi.advanceTimersByTimeAsync(60_000)
    expect([target.textContent, server.attempts]).toEqual(['loading', 0])
    load('Ada')
    await vi.advanceTimersByTimeAsync(0)
    await vi.advanceTimersByTimeAsync(0)
    expect([target.textContent, server.attempts]).toEqual(['Ada: open', 1])
    view.unmount()
  })

  test('an abandoned view leaves no connection open', async () => {
    const { suspend } = await importCode<Module>(code)
    server = fakeNetwork()
    const view = suspend(target, new Promise(() => {}))
    await vi.advanceTimersByTimeAsync(1_000)
    view.hide()
    await vi.advanceTimersByTimeAsync(10_000)
    expect([target.textContent, server.attempts, vi.getTimerCount()]).toEqual(['gone', 0, 0])
    view.unmount()
  })
})
