// Follows the numbered messages of this tab: waiting here, taken by the browser, back from the server, or dropped.
import { make, page } from './dom.js'

const remembered = 100
const shown = 8

/**
 * A message is `queued`, `sent`, `arrived`, `dropped`, or `unknown`: the browser took it, and the line broke before
 * the server's broadcast brought it back. A bare WebSocket has no acknowledgements that could say more.
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
    // What came back from the browser is sent again: only then is its fate known, and `arrived` corrects it.
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
      // In the list before it is sent: a message that is dropped at once is reported during the call.
      messages.push(message)
      const fate = socket.send(data)
      if (message.fate === 'queued') message.fate = fate
      messages = messages.slice(-remembered)
      show()
    },

    /** Takes note of a broadcast, and says whether it was a message of this tab. */
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
