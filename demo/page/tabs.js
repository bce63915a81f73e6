// All windows of this page share one connection, to the market data. The window that holds it says so; when it is closed, another one takes over.
import { createTabsSocket } from '/dist/tabs.min.js'
import { address, page, write } from './dom.js'

const HOLDERS = {
  'this tab': 'this window',
  'another tab': 'another window',
  worker: 'a shared worker',
  none: 'this window alone, because the browser has no Web Locks here',
}

export const createSharedConnection = () => {
  // The server sends prices four times a second, so silence alone shows that the connection is dead.
  const socket = createTabsSocket(address('/live'), { heartbeat: { interval: 1_500, timeout: 1_000 } })
  const show = () => {
    const { holder, tabs } = socket.sharing
    write(page['tabs-holder'], HOLDERS[holder] ?? 'nobody yet')
    write(page['tabs-count'], tabs)
    write(page['tabs-connections'], holder === 'none' ? tabs : 1)
    write(page['tabs-state'], socket.state.name)
  }
  socket.on('sharing', show)
  socket.on('state', show)
  show()
  return socket
}

/** The maximum number of prices to remember that have arrived over only one connection. */
const remembered = 200

/**
 * Compares the prices that arrive over this window's own connection with those over the shared one. Prices that arrive over only one of the
 * two connections, followed by others that arrive over both, are lost on the other connection.
 */
export const compareConnections = (own, shared) => {
  let isAligned = false
  const count = (socket, ids) => {
    const way = { ids, received: 0, lost: 0, only: [] }
    socket.on('text', text => {
      if (!text.startsWith('{"kind":"tick"')) return
      way.received++
      const other = ways.find(one => one !== way)
      const at = other.only.indexOf(text)
      if (at < 0) {
        way.only.push(text)
        if (way.only.length > remembered) way.only.shift()
        return
      }
      // Nothing is known to be lost before the first price that arrives over both.
      if (isAligned) {
        way.lost += at
        other.lost += way.only.length
      }
      isAligned = true
      other.only.splice(0, at + 1)
      way.only = []
    })
    return way
  }
  const ways = [count(own, ['own-messages', 'own-lost']), count(shared, ['tabs-messages', 'tabs-lost'])]
  // Four messages a second are too many for a screen reader.
  setInterval(() => {
    for (const { ids, received, lost } of ways) {
      const [messages, losses] = ids.map(id => page[id])
      write(messages, received)
      write(losses, isAligned ? lost : '–')
      losses.classList.toggle('some', lost > 0)
    }
  }, 1_000)
}
