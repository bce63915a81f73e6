// One socket with two kinds of live data: quotes as text, sent with a `key`, and strokes as binary data, sent as `volatile`.
import { backoff, createSocket } from '/dist/index.min.js'
import { address } from './dom.js'
import { showMarket } from './market.js'
import { showPad } from './pad.js'

export const createLive = pushPicture => {
  const socket = createSocket(address('/live'), {
    retry: backoff({ spread: 1_500 }),
    minUptime: 1_000,
    // The server sends prices four times a second, so silence alone shows that the connection is dead.
    heartbeat: { interval: 1_500, timeout: 1_000 },
  })
  const market = showMarket(socket)
  const pad = showPad(socket, pushPicture)
  socket.on('text', text => {
    const message = JSON.parse(text)
    if (message.kind === 'hello') market.begin(message.symbols)
    if (message.kind === 'tick') market.tick(message.prices)
    if (message.kind === 'quote') market.quote(message)
  })
  socket.on('binary', pad.hear)
  socket.on('drop', ({ reason }) => {
    if (reason === 'replaced') market.replaced()
  })
  return socket
}
