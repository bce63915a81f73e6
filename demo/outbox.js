// Follows the numbered messages of this tab: waiting here, taken by the browser, back from the server, or dropped.
import { make, write } from './layout.js'

const remembered = 100
const shown = 40

/**
 * A message is `queued`, `sent`, `arrived`, `dropped`, or `unknown`: the browser took it, and the line broke before
 * the server's broadcast brought it back. A bare WebSocket has no acknowledgements that could say more.
 */
export const createOutbox = (socket, sender) => {
  let messages = []
  let last = 0
  const arrived = []

  const isPending = ({ fate }) => fate !== 'arrived' && fate !== 'dropped'

  /**
   * The queue keeps the order of `send()`, so what waits in it are the last ones of what has not been settled.
   * This also holds for messages that the socket took back from a lost connection.
   */
  const refresh = () => {
    const pending = messages.filter(isPending)
    const firstQueued = pending.length - socket.queued
    pending.forEach((message, at) => {
      if (at >= firstQueued) message.fate = 'queued'
      else if (message.fate !== 'unknown') message.fate = 'sent'
    })
    const surplus = messages.length - remembered
    if (surplus > 0) messages = messages.filter(({ fate }, at) => at >= surplus || fate === 'queued')
  }

  socket.on('drop', ({ data, reason }) => {
    const message = messages.find(message => message.data === data)
    if (message) Object.assign(message, { fate: 'dropped', reason })
  })

  socket.on('close', () => {
    refresh()
    for (const message of messages) if (message.fate === 'sent') message.fate = 'unknown'
  })

  return {
    /** The messages, oldest first, each with its `n`, `text` and `fate`. */
    get messages() {
      refresh()
      return messages
    },

    /** Their numbers in the order in which the server gave them back. */
    arrived,

    send(text) {
      const n = ++last
      const data = JSON.stringify({ type: 'push', n, text, from: sender })
      // In the list before it is sent: a message that is dropped at once is reported during the call.
      messages.push({ n, text, data, fate: 'queued' })
      socket.send(data)
    },

    /** Takes note of a broadcast, and says whether it was a message of this tab. */
    note({ from, n }) {
      const message = from === sender && messages.find(message => message.n === n)
      if (!message) return false
      message.fate = 'arrived'
      arrived.push(n)
      if (arrived.length > remembered) arrived.shift()
      return true
    },
  }
}

const list = numbers => numbers.join(' ') || 'none'

/** Returns a function that shows the messages; it draws only when one of them has changed. */
export const showOutbox = (page, outbox, socket) => {
  let drawn = ''

  return () => {
    const { messages, arrived } = outbox
    write(page.queued, socket.queued)
    const now = messages.map(({ n, fate }) => `${n} ${fate}`).join()
    if (now === drawn) return
    drawn = now

    const chips = messages.slice(-shown).map(({ n, text, fate, reason }) => {
      const chip = make('li', fate, make('b', '', n), ` ${fate}${reason ? ` (${reason})` : ''}`)
      chip.dataset.n = n
      chip.dataset.fate = fate
      chip.title = text
      return chip
    })
    page.mine.replaceChildren(...chips)
    write(page.unsent, list(messages.filter(({ fate }) => fate === 'queued').map(({ n }) => n)))
    write(page.arrived, list(arrived))
  }
}
