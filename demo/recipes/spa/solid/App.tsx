/** @jsxImportSource solid-js */
import { createSignal, For } from 'solid-js'
import { json } from 'steadysocket/json'
import { useMessages, useOutage, useSend, useSocket } from 'steadysocket/solid'
import { add, describe, FEED, Message, type Notification } from '../notifications.ts'

export function App() {
  const socket = useSocket(FEED)
  const outage = useOutage(socket, { grace: 2_000 })
  const notifications = useMessages(() => json(socket(), Message), add, [] as readonly Notification[])
  const send = useSend(() => json(socket()))

  const status = () => {
    const now = outage()
    return now.away ? describe(now.state) : ''
  }

  const [text, setText] = createSignal('')
  const push = (event: SubmitEvent) => {
    event.preventDefault()
    send({ type: 'push', n: 1, text: text() || 'Hello', from: 'solid' })
    setText('')
  }

  return (
    <>
      <h1>Notifications</h1>
      <p role="status">{status()}</p>
      <form onSubmit={push}>
        <input
          aria-label="Message"
          placeholder="Hello"
          value={text()}
          onInput={({ target }) => setText(target.value)}
        />{' '}
        <button type="submit">Push</button>
      </form>
      <ul>
        <For each={notifications()}>
          {({ title, body }) => (
            <li>
              {title}: {body}
            </li>
          )}
        </For>
      </ul>
    </>
  )
}
