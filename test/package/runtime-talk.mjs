// Runs in any runtime, in a project with the package: exchanges messages with the given server, loses the connection, and prints what happened as one line of
// JSON.
import { createSocket } from 'steadysocket'
import { SteadyWebSocket } from 'steadysocket/websocket'

const url = process.argv[2]
const log = []
const socket = createSocket(url, { retry: () => 1, protocols: 'talk' })
const next = type => new Promise(resolve => socket.once(type, resolve))

socket.on('state', ({ name }) => log.push(name))

const opened = next('open')
const first = next('text')
socket.send('hello')
await opened
log.push(await first, socket.protocol)

const binary = next('binary')
socket.send(new Uint8Array([1, 2, 255]))
log.push([...new Uint8Array(await binary)])

const lost = next('close')
const back = next('open')
socket.send('go')
const { code, reason, willRetry } = await lost
log.push([code, reason, willRetry])
await back
const again = next('text')
socket.send('hello again')
log.push(await again)

const closed = next('close')
socket.close(4001, 'done')
const end = await closed
log.push([end.code, end.reason, end.wasClean, end.willRetry])

// The drop-in class, with its events.
const plain = new SteadyWebSocket(url, 'talk')
plain.onmessage = ({ data }) => {
  log.push(data)
  plain.close(1000)
}
plain.onclose = ({ code, wasClean }) => {
  log.push([code, wasClean])
  console.log(JSON.stringify(log))
}
plain.send('from the drop-in')
