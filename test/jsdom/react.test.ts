// Features of React: Suspense, Activity, and components that are called with new functions and objects for each render.
import {
  Activity,
  act,
  Component,
  type FunctionComponent,
  createElement as h,
  type ReactNode,
  StrictMode,
  Suspense,
  use,
  useState,
} from 'react'
import { createRoot, type Root } from 'react-dom/client'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { createSocket, type Socket } from '../../src/index.ts'
import { json } from '../../src/json.ts'
import { useMessages, useOutage, useSend, useSocket, useSocketState } from '../../src/react.ts'
import type { FakeServer } from '../../src/testing.ts'
import { fakeNetwork } from '../support/network.ts'

const FRAME = 16

const View = Activity as FunctionComponent<{ mode: 'visible' | 'hidden'; children?: ReactNode }>

let server: FakeServer
let n = 0
/** Another URL in each test, because the whole page shares sockets. */
let url: string
let root: Root
let target: Element

beforeEach(() => {
  server = fakeNetwork()
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true)
  url = `wss://push.example.com/${++n}`
  target = document.createElement('div')
  root = createRoot(target)
})
afterEach(() => act(async () => root.unmount()))

const show = (node: ReactNode) => act(async () => root.render(h(StrictMode, null, node)))
const advance = (ms: number) => act(async () => void vi.advanceTimersByTime(ms))
const send = async (...texts: string[]) => {
  await act(async () => {
    for (const text of texts) server.latest.send(text)
  })
  await advance(FRAME)
}

describe('useSocket() in React', () => {
  test('opens nothing for a component that suspends, and one connection when it is shown at last', async () => {
    let resolve: (name: string) => void = () => {}
    const user = new Promise<string>(done => {
      resolve = done
    })
    const Feed = () => {
      const state = useSocketState(useSocket(url))
      return `${use(user)}: ${state.name}`
    }
    await show(h(Suspense, { fallback: 'loading' }, h(Feed)))
    await advance(120_000)
    expect([target.textContent, server.attempts]).toEqual(['loading', 0])
    await act(async () => resolve('Ada'))
    await advance(0)
    expect([target.textContent, server.attempts]).toEqual(['Ada: open', 1])
  })

  test('leaves no connection open if a view is abandoned before it was shown', async () => {
    const Feed = () => {
      useSocket(url)
      use(new Promise(() => {}))
      return null
    }
    await show(h(Suspense, { fallback: 'loading' }, h(Feed)))
    await show(null)
    await advance(120_000)
    expect([server.attempts, vi.getTimerCount()]).toEqual([0, 0])
  })

  test('closes the connection of a hidden Activity, and connects again when it is shown', async () => {
    let socket: Socket | undefined
    const Feed = () => {
      socket = useSocket(url)
      return h('p', null, useSocketState(socket).name, ' ', useMessages(socket))
    }
    const view = (mode: 'visible' | 'hidden', ...others: ReactNode[]) =>
      show([h(View, { key: 0, mode }, h(Feed)), ...others])
    await view('visible')
    await advance(0)
    await send('one')
    expect(target.textContent).toBe('open one')
    await view('hidden')
    await advance(1_000)
    expect(server.clients).toEqual([])
    await view('visible')
    await advance(0)
    // Messages may have been missed meanwhile, so the list starts again.
    expect([target.textContent, server.clients.length, server.attempts]).toEqual(['open ', 1, 2])
    await send('two')
    expect(target.textContent).toBe('open two')
    const shared = socket
    await view('visible', h(Feed, { key: 1 }))
    expect(socket).toBe(shared)
  })

  test('uses a socket that was created while its Activity was hidden', async () => {
    const sockets: Socket[] = []
    const Feed = ({ at }: { at: number }) => {
      sockets[at] = useSocket(url)
      return null
    }
    const view = (mode: 'visible' | 'hidden', ...others: ReactNode[]) =>
      show([h(View, { key: 0, mode }, h(Feed, { at: 0 })), ...others])
    await view('visible')
    await advance(0)
    await view('hidden')
    await advance(1_000)
    await view('hidden', h(Feed, { key: 1, at: 1 }))
    await advance(0)
    await view('visible', h(Feed, { key: 1, at: 1 }))
    await advance(2_000)
    expect(server.clients).toHaveLength(1)
    await view('visible', h(Feed, { key: 1, at: 1 }), h(Feed, { key: 2, at: 2 }))
    expect(new Set(sockets).size).toBe(1)
  })

  test('calls an endpoint function of any render, as long as the key is the same', async () => {
    const getUrl = vi.fn(async () => url)
    let update = () => {}
    const Feed = () => {
      const [, set] = useState(0)
      update = () => set(n => n + 1)
      return useSocketState(useSocket(() => getUrl(), { key: url })).name
    }
    await show(h(Feed))
    for (let i = 0; i < 5; i++) await act(async () => update())
    await act(() => vi.advanceTimersByTimeAsync(0))
    expect([target.textContent, getUrl.mock.calls.length, server.attempts]).toEqual(['open', 1, 1])
  })

  test('changes the socket with the key, as when another user signs in', async () => {
    const Feed = ({ user }: { user: string }) =>
      useSocketState(useSocket(async () => `${url}?user=${user}`, { key: `feed of ${user}` })).name
    await show(h(Feed, { user: 'Ada' }))
    await act(() => vi.advanceTimersByTimeAsync(0))
    await show(h(Feed, { user: 'Bob' }))
    await act(() => vi.advanceTimersByTimeAsync(1_000))
    expect(server.connections.map(({ socket }) => new URL(socket.url).search)).toEqual([
      '?user=Ada',
      '?user=Bob',
    ])
    expect(server.clients).toHaveLength(1)
  })

  test('throws for a malformed address, for an error boundary to catch', async () => {
    class Boundary extends Component<{ children?: ReactNode }> {
      static getDerivedStateFromError = ({ name }: Error) => ({ name })
      override state = { name: '' }
      override render() {
        return this.state.name || this.props.children
      }
    }
    vi.spyOn(console, 'error').mockImplementation(() => {})
    const Feed = () => useSocketState(useSocket('https://[')).name
    await show(h(Boundary, null, h(Feed)))
    expect(target.textContent).toBe('SyntaxError')
    vi.restoreAllMocks()
  })

  test('leaves a socket that is passed in to its owner', async () => {
    const socket = createSocket(url)
    const Feed = () => useSocketState(useSocket(socket)).name
    await show(h(Feed))
    await advance(0)
    expect(target.textContent).toBe('open')
    await show(null)
    await advance(60_000)
    expect(socket.state.name).toBe('open')
    socket.close()
  })
})

describe('useSocketState() in React', () => {
  test('renders once for each state if what is selected is another object each time', async () => {
    const rendered: string[] = []
    const Feed = () => {
      const selected = useSocketState(useSocket(url), ({ name }) => ({ name }))
      rendered.push(selected.name)
      return selected.name
    }
    await act(async () => root.render(h(Feed)))
    await advance(0)
    await advance(60_000)
    expect(rendered).toEqual(['closed', 'connecting', 'open'])
  })

  test('listens to a socket once, however often its component is rendered', async () => {
    const on = vi.fn(() => () => {})
    const socket = { on, state: { name: 'open' } } as unknown as Socket
    const Feed = () => useSocketState(socket).name
    for (let renders = 0; renders < 3; renders++) await act(async () => root.render(h(Feed)))
    expect(on).toHaveBeenCalledTimes(1)
  })

  test('selects with the function of the last render', async () => {
    const Feed = ({ name }: { name: string }) =>
      String(useSocketState(useSocket(url), state => state.name === name))
    await show(h(Feed, { name: 'open' }))
    await advance(0)
    expect(target.textContent).toBe('true')
    await show(h(Feed, { name: 'closed' }))
    expect(target.textContent).toBe('false')
  })
})

describe('useMessages() in React', () => {
  const Price = z.object({ bid: z.number() })

  test('continues if json() is called in each render, and shows the latest value', async () => {
    const Feed = () => {
      const socket = useSocket(url)
      const prices = useMessages(json(socket, Price), 3)
      const [price] = useMessages(json(socket, Price), 1)
      return `${prices.map(({ bid }) => bid)}; ${price?.bid}`
    }
    await show(h(Feed))
    await advance(0)
    expect(target.textContent).toBe('; undefined')
    for (let bid = 1; bid <= 5; bid++) await send(JSON.stringify({ bid }))
    expect(target.textContent).toBe('3,4,5; 5')
    await send('{"bid":6}', '{"bid":7}')
    expect(target.textContent).toBe('5,6,7; 7')
  })

  test('misses no message with a validator that takes its time, if json() is called once', async () => {
    const Late = z.object({ bid: z.number() }).refine(async () => true)
    const sources = new Map<Socket, ReturnType<typeof json>>()
    const Feed = () => {
      const socket = useSocket(url)
      if (!sources.has(socket)) sources.set(socket, json(socket, Late) as ReturnType<typeof json>)
      return String(useMessages(sources.get(socket) as ReturnType<typeof json>, count => count + 1, 0))
    }
    await show(h(Feed))
    await advance(0)
    for (let i = 0; i < 10; i++) await send('{"bid":1}', '{"bid":2}')
    await act(() => vi.advanceTimersByTimeAsync(FRAME))
    expect(target.textContent).toBe('20')
  })

  test('reduces with the function of the last render', async () => {
    const Feed = ({ factor }: { factor: number }) =>
      String(useMessages(useSocket(url), (sum, text) => sum + factor * Number(text), 0))
    await show(h(Feed, { factor: 1 }))
    await advance(0)
    await send('1', '2')
    await show(h(Feed, { factor: 10 }))
    await send('3')
    expect(target.textContent).toBe('33')
  })

  test('keeps its messages when the limit changes', async () => {
    const Feed = ({ limit }: { limit: number }) => `${useMessages(useSocket(url), limit)}`
    await show(h(Feed, { limit: 2 }))
    await advance(0)
    await send('1', '2', '3')
    await show(h(Feed, { limit: 4 }))
    await send('4', '5', '6')
    expect(target.textContent).toBe('3,4,5,6')
  })

  test('renders a parent and its children once a frame, with one task for all', async () => {
    const renders = { parent: 0, child: 0 }
    const Child = () => {
      renders.child++
      return useMessages(useSocket(url)).length
    }
    const Parent = () => {
      renders.parent++
      return [useMessages(useSocket(url)).length, h(Child, { key: 1 })]
    }
    await act(async () => root.render(h(Parent)))
    await advance(0)
    Object.assign(renders, { parent: 0, child: 0 })
    await send(...Array.from({ length: 1_000 }, (_, n) => `${n}`))
    expect(renders).toEqual({ parent: 1, child: 1 })
  })

  test('renders nothing for a value that stays the same', async () => {
    let renders = 0
    const Feed = () => {
      renders++
      return String(useMessages(useSocket(url), (most, text) => Math.max(most, Number(text)), 0))
    }
    await act(async () => root.render(h(Feed)))
    await advance(0)
    await send('5')
    const before = renders
    for (const text of ['1', '5', '3']) await send(text)
    expect([target.textContent, renders]).toEqual(['5', before])
  })
})

test('useOutage() in React starts again only if the grace period changes, not for another object', async () => {
  const Feed = ({ grace }: { grace: number }) => {
    const socket = useSocket(url, { retry: () => 60_000 })
    const { name } = useSocketState(socket)
    const outage = useOutage(socket, { grace })
    return `${name}, ${outage.away ? 'away' : 'here'}`
  }
  await show(h(Feed, { grace: 2_000 }))
  await advance(0)
  server.refuse()
  await act(async () => void server.latest.drop())
  await advance(1_500)
  await show(h(Feed, { grace: 2_000 }))
  await advance(500)
  expect(target.textContent).toBe('waiting, away')
})

test('useSend() in React returns the same function until the socket changes', async () => {
  const functions = new Set()
  const Feed = ({ room }: { room: string }) => {
    const socket = useSocket(`${url}/${room}`)
    const send = useSend(json(socket))
    functions.add(send)
    send({ hello: room })
    return useSocketState(socket).name
  }
  await act(async () => root.render(h(Feed, { room: 'a' })))
  await advance(0)
  expect(functions.size).toBe(1)
  await act(async () => root.render(h(Feed, { room: 'b' })))
  await advance(0)
  expect(functions.size).toBe(2)
  expect(server.latest.received.at(-1)).toBe('{"hello":"b"}')
})
