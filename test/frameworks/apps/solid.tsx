/** @jsxImportSource solid-js */
import { createSignal, For } from 'solid-js'
import { render as begin, hydrate as take } from 'solid-js/web'
import { useMessages, useOutage, useSend, useSocket, useSocketState } from 'steadysocket/solid'
import { type App, type AppProps, count, type FeedProps, rendered, type View } from './contract.ts'

function Light(props: FeedProps) {
  const isOpen = useSocketState(
    useSocket(() => props.url),
    state => state.name === 'open',
  )
  return <b class="light">{rendered(`${props.id} light`, isOpen())}</b>
}

function Feed(props: FeedProps) {
  const socket = useSocket(() => props.url)
  const state = useSocketState(socket)
  const lines = useMessages(socket, props.limit)
  const total = useMessages(socket, count, 0)
  const outage = useOutage(socket, { grace: 2_000 })
  const send = useSend(socket)
  const away = () => {
    const now = outage()
    return now.away ? `away, ${now.state.name}` : ''
  }
  return (
    <section id={props.id}>
      <b class="state">{state().name}</b>
      <p class="lines">{rendered(`${props.id} lines`, lines())}</p>
      <p class="total">{total()}</p>
      <p class="outage">{away()}</p>
      <button type="button" onClick={() => send('hello')}>
        Send
      </button>
      <Light id={props.id} url={props.url} />
    </section>
  )
}

export const Main = (props: AppProps) => (
  <For each={props.feeds.map(({ id }) => id)}>
    {id => {
      const feed = () => props.feeds.find(other => other.id === id)
      return <Feed id={id} url={feed()?.url ?? ''} limit={feed()?.limit} />
    }}
  </For>
)

const open = async (make: typeof begin, target: Element, first: AppProps): Promise<View> => {
  const [props, setProps] = createSignal(first)
  const perform = async (job: () => unknown) => void job()
  const dispose = make(() => <Main feeds={props().feeds} />, target)
  return {
    update: next => perform(() => setProps(next)),
    unmount: () => perform(dispose),
    perform,
  }
}

export const mount: App['mount'] = (target, props) => open(begin, target, props)
export const hydrate: App['hydrate'] = (target, props) => open(take as typeof begin, target, props)
