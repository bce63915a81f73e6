// Features of Vue: scopes without a component, asynchronous setup, and refs and getters instead of values.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  type App,
  type Component,
  computed,
  createApp,
  defineComponent,
  effectScope,
  h,
  KeepAlive,
  nextTick,
  ref,
  Suspense,
  shallowRef,
} from 'vue'
import { json } from '../../src/json.ts'
import type { FakeServer } from '../../src/testing.ts'
import { useMessages, useSend, useSocket, useSocketState } from '../../src/vue.ts'
import { fakeNetwork } from '../support/network.ts'

const FRAME = 16

let server: FakeServer
let n = 0
/** Another URL in each test, because the whole page shares sockets. */
let url: string
let app: App | undefined
let target: Element

beforeEach(() => {
  server = fakeNetwork()
  url = `wss://push.example.com/${++n}`
  target = document.createElement('div')
})
afterEach(() => {
  app?.unmount()
  app = undefined
})

const mount = (component: Component) => {
  app = createApp(component)
  app.mount(target)
}
const advance = async (ms: number) => {
  vi.advanceTimersByTime(ms)
  await nextTick()
}
const send = async (...texts: string[]) => {
  for (const text of texts) server.latest.send(text)
  await advance(FRAME)
}

describe('in a scope without a component, such as a store', () => {
  const setUp = () => {
    const socket = useSocket(url)
    return { socket, state: useSocketState(socket), lines: useMessages(socket) }
  }

  test('a socket connects at once, and closes a moment after the scope has stopped', async () => {
    const scope = effectScope(true)
    const store = scope.run(setUp)
    await advance(0)
    await send('one')
    expect([store?.state.value.name, store?.lines.value]).toEqual(['open', ['one']])
    scope.stop()
    await advance(1_000)
    expect(server.clients).toEqual([])
    await advance(5_000)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('a socket stays open after the first component that uses the store is unmounted', async () => {
    const scope = effectScope(true)
    let store: ReturnType<typeof setUp> | undefined
    const useStore = () => {
      store ??= scope.run(setUp)
      return store
    }
    const shown = ref(true)
    const User = defineComponent(() => {
      const store = useStore()
      return () => `${store?.lines.value}`
    })
    mount(defineComponent(() => () => (shown.value ? h(User) : 'nobody')))
    await advance(0)
    await send('one')
    shown.value = false
    await advance(60_000)
    await send('two')
    shown.value = true
    await nextTick()
    expect(target.textContent).toBe('one,two')
    expect([server.attempts, server.clients.length]).toEqual([1, 1])
    scope.stop()
  })

  test('nothing connects on a server', () => {
    vi.stubGlobal('window', undefined)
    const store = effectScope(true).run(setUp)
    vi.advanceTimersByTime(10_000)
    expect([store?.state.value.name, server.attempts, vi.getTimerCount()]).toEqual(['closed', 0, 0])
  })
})

describe('a component with an asynchronous setup', () => {
  const createFeed = (loaded: Promise<unknown>) => defineComponent({ setup: () => setUpFeed(loaded) })

  const setUpFeed = async (loaded: Promise<unknown>) => {
    const state = useSocketState(useSocket(url))
    await loaded
    return () => state.value.name
  }

  test('connects when it is shown', async () => {
    let load = () => {}
    const Feed = createFeed(
      new Promise<void>(resolve => {
        load = resolve
      }),
    )
    mount(defineComponent(() => () => h(Suspense, null, { default: h(Feed), fallback: 'loading' })))
    await advance(120_000)
    expect([target.textContent, server.attempts]).toEqual(['loading', 0])
    load()
    for (let i = 0; i < 5; i++) await advance(0)
    expect([target.textContent, server.attempts]).toEqual(['open', 1])
  })

  test('leaves no connection open if it is abandoned before', async () => {
    const Feed = createFeed(new Promise(() => {}))
    const shown = ref(true)
    mount(
      defineComponent(
        () => () => (shown.value ? h(Suspense, null, { default: h(Feed), fallback: 'loading' }) : 'gone'),
      ),
    )
    await advance(1_000)
    shown.value = false
    await advance(1_000)
    expect([target.textContent, server.attempts, vi.getTimerCount()]).toEqual(['gone', 0, 0])
  })
})

test('a component that is kept alive by Vue misses no message', async () => {
  const Feed = defineComponent(() => {
    const lines = useMessages(useSocket(url))
    return () => `${lines.value}`
  })
  const shown = ref(true)
  mount(defineComponent(() => () => h(KeepAlive, () => (shown.value ? h(Feed) : h('i', 'other')))))
  await advance(0)
  await send('one')
  shown.value = false
  await send('two')
  await advance(10_000)
  shown.value = true
  await nextTick()
  expect([target.textContent, server.attempts]).toEqual(['one,two', 1])
})

test('the functions for Vue follow refs and getters: another URL means another socket, with its own messages and values', async () => {
  const room = ref('a')
  const feed = shallowRef<any>()
  mount(
    defineComponent(() => {
      const socket = useSocket(() => `${url}/${room.value}`)
      const values = computed(() => json(socket.value))
      const latest = useMessages(values, 1)
      const lines = useMessages(() => socket.value)
      const send = useSend(values)
      return () => {
        feed.value = { latest: latest.value, lines: lines.value, send }
        return ''
      }
    }),
  )
  await advance(0)
  feed.value.send({ hello: 'a' })
  await send('{"n":1}', '{"n":2}')
  expect([feed.value.latest, feed.value.lines]).toEqual([[{ n: 2 }], ['{"n":1}', '{"n":2}']])
  const before = feed.value.send
  room.value = 'b'
  await nextTick()
  expect([feed.value.latest, feed.value.lines]).toEqual([[], []])
  await advance(0)
  feed.value.send({ hello: 'b' })
  await send('{"n":3}')
  expect([feed.value.latest, feed.value.lines]).toEqual([[{ n: 3 }], ['{"n":3}']])
  expect(feed.value.send).toBe(before)
  expect(server.connections.map(({ received }) => received)).toEqual([['{"hello":"a"}'], ['{"hello":"b"}']])
  await advance(1_000)
  expect(server.clients).toHaveLength(1)
})

test('a function with a key is called for each attempt in Vue, not for each change', async () => {
  const getUrl = vi.fn(async () => url)
  const Feed = defineComponent(() => {
    const state = useSocketState(useSocket(getUrl, { key: url }))
    return () => state.value.name
  })
  mount(Feed)
  expect(getUrl).toHaveBeenCalledTimes(1)
  await vi.advanceTimersByTimeAsync(0)
  expect(target.textContent).toBe('open')
})

test('a selection in Vue may depend on refs', async () => {
  const wanted = ref('open')
  const Feed = defineComponent(() => {
    const isIt = useSocketState(useSocket(url), state => state.name === wanted.value)
    return () => String(isIt.value)
  })
  mount(Feed)
  await advance(0)
  expect(target.textContent).toBe('true')
  wanted.value = 'closed'
  await nextTick()
  await nextTick()
  expect(target.textContent).toBe('false')
})
