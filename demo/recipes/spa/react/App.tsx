/** @jsxImportSource react */
import { type SubmitEvent, useEffect, useState } from 'react'
import { json } from 'steadysocket/json'
import { useMessages, useOutage, useSend, useSocket } from 'steadysocket/react'
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
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 250)
    return () => clearInterval(timer)
  }, [])
  const next = <span aria-hidden="true">{outage.away && nextTry(outage, now)}</span>
  return (
    <p className="banner" role="status">
      {outage.away && <>Offline{next}</>}
    </p>
  )
}

export function App() {
  const feed = json(useSocket(FEED, OPTIONS), Message, codec)
  const inbox = useMessages(feed, add, EMPTY)
  const send = useSend(feed)
  const [sent, setSent] = useState<Row[]>([])
  const [read, setRead] = useState(0)
  const unread = inbox.count - read

  const push = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault()
    const message = write(sent.length + 1, event.currentTarget.text.value)
    setSent([...sent, toRow(message, send(message))]) // send() returns 'queued' while offline
    event.currentTarget.reset()
  }

  return (
    <>
      <header>
        <h1>Notifications</h1>
        <button type="button" className="bell" onClick={() => setRead(inbox.count)}>
          {unread > 0 && <b>{unread}</b>}
          <span className="hidden"> unread, mark as read</span>
        </button>
      </header>
      <Banner />
      {inbox.picture && <img className="picture" src={inbox.picture} alt="The latest, sent as binary data" />}
      <ul>
        {allRows(inbox, sent).map(({ id, title, body, note }) => (
          <li key={id} id={id}>
            <p>{title}</p>
            <p>{body}</p>
            <p>{note}</p>
          </li>
        ))}
      </ul>
      <form onSubmit={push}>
        <input name="text" aria-label="Message" placeholder="Hello" />
        <button type="submit">Send</button>
      </form>
    </>
  )
}
