/** @jsxImportSource solid-js */
import { createSignal, For, onCleanup, Show } from 'solid-js'
import { json } from 'steadysocket/json'
import { useMessages, useOutage, useSend, useSocket } from 'steadysocket/solid'
import {
  add,
  allRows,
  codec,
  EMPTY,
  FEED,
  Message,
  nextTry,
  OPTIONS,
  type Row,
  toRow,
  write,
} from '../notifications.ts'

function Banner() {
  const outage = useOutage(useSocket(FEED, OPTIONS), { grace: 1_000 })
  const [now, setNow] = createSignal(Date.now())
  const timer = setInterval(() => setNow(Date.now()), 250)
  onCleanup(() => clearInterval(timer))
  const next = () => {
    const current = outage()
    return current.away && nextTry(current, now())
  }
  return (
    <p class="banner" role="status">
      <Show when={next()}>
        Offline<span aria-hidden="true">{next()}</span>
      </Show>
    </p>
  )
}

export function App() {
  const socket = useSocket(FEED, OPTIONS)
  const feed = () => json(socket(), Message, codec)
  const inbox = useMessages(feed, add, EMPTY)
  const send = useSend(feed)
  const [sent, setSent] = createSignal<Row[]>([])
  const [read, setRead] = createSignal(0)
  const unread = () => inbox().count - read()

  const push = (event: SubmitEvent & { currentTarget: HTMLFormElement }) => {
    event.preventDefault()
    const message = write(sent().length + 1, event.currentTarget.text.value)
    setSent([...sent(), toRow(message, send(message))]) // send() returns 'queued' while offline
    event.currentTarget.reset()
  }

  return (
    <>
      <header>
        <h1>Notifications</h1>
        <button type="button" class="bell" onClick={() => setRead(inbox().count)}>
          <Show when={unread()}>
            <b>{unread()}</b>
          </Show>
          <span class="hidden"> unread, mark as read</span>
        </button>
      </header>
      <Banner />
      <Show when={inbox().picture}>
        {url => <img class="picture" src={url()} alt="The latest, sent as binary data" />}
      </Show>
      <ul>
        <For each={allRows(inbox(), sent())}>
          {({ id, title, body, note }) => (
            <li id={id}>
              <p>{title}</p>
              <p>{body}</p>
              <p>{note}</p>
            </li>
          )}
        </For>
      </ul>
      <form onSubmit={push}>
        <input name="text" aria-label="Message" placeholder="Hello" />
        <button type="submit">Send</button>
      </form>
    </>
  )
}
