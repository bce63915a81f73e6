// Follows the numbered messages of this tab: queued, accepted by the browser, broadcast by the server, or dropped.
import { make, page } from './dom.js'

const remembered = 100
const shown = 8

/**
 * A message is `queued`, `sent`, `arrived`, `dropped` or `unknown`. Unknown means that the connection broke before the server's
 * broadcast of the message arrived. A bare WebSocket has no acknowledgements.
 */
export const createOutbox = (socket, sender) => {
  let messages = []
  let last = 0
  let drawn = ''

  const find = data => messages.find(message => message.data === data)

  socket.on('drop', ({ data, reason }) => {
    const message = find(data)
    if (message) Object.assign(message, { fate: 'dropped', reason })
  })
  socket.on('close', () => {
    // If the browser had not sent a message, it is sent again. `arrived` then corrects this.
    for (const message of messages) if (message.fate === 'sent') message.fate = 'unknown'
  })
  socket.on('open', () => {
    for (const message of messages) if (message.fate === 'queued') message.fate = 'sent'
  })

  const show = () => {
    const now = messages.map(({ n, fate }) => `${n} ${fate}`).join()
    if (now === drawn) return
    drawn = now
    const chips = messages.slice(-shown).map(({ n, text, fate, reason }) => {
      const chip = make('li', fate, make('b', '', n), ` ${fate}${reason ? ` (${reason})` : ''}`)
      chip.dataset.fate = fate
      chip.title = text
      return chip
    })
    page.mine.replaceChildren(...chips)
  }

  return {
    send(text, category) {
      const n = ++last
      const data = JSON.stringify({ type: 'push', n, text, from: sender, category })
      const message = { n, text, data, fate: 'queued' }
      // Added before it is sent, because the drop event of a message that is dropped at once comes during the call.
      messages.push(message)
      const fate = socket.send(data)
      if (message.fate === 'queued') message.fate = fate
      messages = messages.slice(-remembered)
      show()
    },

    /** Records a broadcast, and returns whether it was a message of this tab. */
    note({ from, n }) {
      if (from !== sender) return false
      const message = messages.find(message => message.n === n)
      if (message) message.fate = 'arrived'
      show()
      return true
    },

    show,
  }
}
