/** @jsxImportSource react */
import { act, memo, StrictMode } from 'react'
import { createRoot, hydrateRoot, type Root } from 'react-dom/client'
import { useMessages, useOutage, useSend, useSocket, useSocketState } from 'steadysocket/react'
import { type App, type AppProps, count, type FeedProps, rendered, type View } from './contract.ts'

const Light = memo(({ id, url }: FeedProps) => {
  const isOpen = useSocketState(useSocket(url), state => state.name === 'open')
  return <b className="light">{rendered(`${id} light`, isOpen)}</b>
})

function Feed({ id, url, limit }: FeedProps) {
  const socket = useSocket(url)
  const state = useSocketState(socket)
  const lines = useMessages(socket, limit)
  const total = useMessages(socket, count, 0)
  const outage = useOutage(socket, { grace: 2_000 })
  const send = useSend(socket)
  return (
    <section id={id}>
      <b className="state">{state.name}</b>
      <p className="lines">{rendered(`${id} lines`, lines)}</p>
      <p className="total">{total}</p>
      <p className="outage">{outage.away ? `away, ${outage.state.name}` : ''}</p>
      <button type="button" onClick={() => send('hello')}>
        Send
      </button>
      <Light id={id} url={url} />
    </section>
  )
}

export const Main = ({ feeds }: AppProps) => (
  <StrictMode>
    {feeds.map(feed => (
      <Feed key={feed.id} {...feed} />
    ))}
  </StrictMode>
)

/** Production builds have no `act()`. There, React renders soon. */
const perform = async <Result,>(job: () => Result): Promise<Result> => {
  if (act) return act(async () => job())
  const result = job()
  await new Promise(resolve => setTimeout(resolve))
  return result
}

const view = (root: Root): View => ({
  update: props => perform(() => root.render(<Main {...props} />)),
  unmount: () => perform(() => root.unmount()),
  perform: job => perform(() => void job()),
})

export const mount: App['mount'] = async (target, props) => {
  const app = view(createRoot(target))
  await app.update(props)
  return app
}

export const hydrate: App['hydrate'] = async (target, props) =>
  view(await perform(() => hydrateRoot(target, <Main {...props} />)))
