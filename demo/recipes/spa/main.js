// A view that shows live notifications. `npm run spa`, then change this file and save: the view is made anew, with a new socket.
import { createSocket } from 'steadysocket'
import { json } from 'steadysocket/json'
import './style.css'

const [banner, form, text, feed] = ['banner', 'form', 'text', 'feed'].map(id => document.getElementById(id))

const leave = new AbortController()
const socket = createSocket(`${location.origin.replace('http', 'ws')}/feed`, { signal: leave.signal })
const messages = json(socket)
const known = new Set()

messages.on('message', ({ kind, id, title, body }) => {
  if (kind !== 'notification' || known.has(id)) return
  known.add(id)
  const item = document.createElement('li')
  item.textContent = `${title}: ${body}` // never innerHTML: others wrote this
  feed.prepend(item)
})

const show = state => {
  const time = state.name === 'waiting' && new Date(state.until).toLocaleTimeString()
  banner.textContent = time ? `Offline. Next attempt at ${time}` : state.name
}
socket.on('state', show)
show(socket.state)

let n = 0
form.onsubmit = event => {
  event.preventDefault()
  messages.send({ type: 'push', n: ++n, text: text.value || 'Hello', from: 'Spa' })
  text.value = ''
}

// What a framework's unmount would do, hot reload does here.
import.meta.hot?.accept()
import.meta.hot?.dispose(() => {
  leave.abort()
  feed.replaceChildren()
})
