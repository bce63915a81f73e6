/** @jsxImportSource react */
import { type SubmitEvent, useState } from 'react'
import { json } from 'steadysocket/json'
import { useMessages, useOutage, useSend, useSocket } from 'steadysocket/react'
import { add, describe, FEED, Message } from '../notifications.ts'

function Banner() {
  const outage = useOutage(useSocket(FEED), { grace: 2_000 })
  return <p role="status">{outage.away && describe(outage.state)}</p>
}

function Push() {
  const send = useSend(json(useSocket(FEED)))
  const [text, setText] = useState('')
  const push = (event: SubmitEvent) => {
    event.preventDefault()
    send({ type: 'push', n: 1, text: text || 'Hello', from: 'react' })
    setText('')
  }
  return (
    <form onSubmit={push}>
      <input
        aria-label="Message"
        placeholder="Hello"
        value={text}
        onChange={({ target }) => setText(target.value)}
      />{' '}
      <button type="submit">Push</button>
    </form>
  )
}

function Feed() {
  const notifications = useMessages(json(useSocket(FEED), Message), add, [])
  return (
    <ul>
      {notifications.map(({ id, title, body }) => (
        <li key={id}>
          {title}: {body}
        </li>
      ))}
    </ul>
  )
}

export function App() {
  return (
    <>
      <h1>Notifications</h1>
      <Banner />
      <Push />
      <Feed />
    </>
  )
}
