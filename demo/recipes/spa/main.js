// A view that shows live notifications. Run `npm run spa`, then edit and save this file: the view is replaced, with a new socket.
import { createSocket, onOutage } from 'steadysocket'
import { json } from 'steadysocket/json'
import './style.css'

const [banner, form, text, feed] = ['banner', 'form', 'text', 'feed'].map(id => document.getElementById(id))

const view = new AbortController()
const socket = createSocket(`${location.origin.replace('http', 'ws')}/feed`, { signal: view.signal })
const messages = json(socket)
const known = new Set()

messages.on('message', ({ kind, id, title, body }) => {
  if (kind !== 'notification' || known.has(id)) return
  known.add(id)
  const item = document.createElement('li')
  item.textContent = `${title}: ${body}` // not innerHTML: other users wrote this
  feed.prepend(item)
})

onOutage(socket, { grace: 2_000 }, ({ away, state }) => {
  const time = state.name === 'waiting' && new Date(state.until).toLocaleTimeString()
  banner.textContent = away ? (time ? `Offline. Next attempt at ${time}` : state.name) : ''
})

let n = 0
form.onsubmit = event => {
  event.preventDefault()
  messages.send({ type: 'push', n: ++n, text: text.value || 'Hello', from: 'Spa' })
  text.value = ''
}

// Hot reload does here what a framework does when it unmounts a component.
import.meta.hot?.accept()
import.meta.hot?.dispose(() => {
  view.abort()
  feed.replaceChildren()
})
