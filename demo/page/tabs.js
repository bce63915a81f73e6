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
  const socket = createTabsSocket(address('/live'))
  let received = 0
  const show = () => {
    const { holder, tabs } = socket.sharing
    write(page['tabs-holder'], HOLDERS[holder] ?? 'nobody yet')
    write(page['tabs-count'], tabs)
    write(page['tabs-state'], socket.state.name)
  }
  socket.on('sharing', show)
  socket.on('state', show)
  const count = () => {
    received++
  }
  socket.on('text', count)
  socket.on('binary', count)
  // Ten messages a second are too many for a screen reader.
  setInterval(() => write(page['tabs-messages'], received), 1_000)
  show()
  return socket
}
