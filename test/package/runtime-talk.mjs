// Runs in any runtime, in a project that has the package installed: talks to the server it is given, loses the connection, and says
// in one line of JSON what it saw.
import { createSocket } from 'steadysocket'
import { SteadyWebSocket } from 'steadysocket/websocket'

const url = process.argv[2]
const story = []
const socket = createSocket(url, { retry: () => 1, protocols: 'talk' })
const next = type => new Promise(resolve => socket.once(type, resolve))

socket.on('state', ({ name }) => story.push(name))

const opened = next('open')
const first = next('text')
socket.send('hello')
await opened
story.push(await first, socket.protocol)

const binary = next('binary')
socket.send(new Uint8Array([1, 2, 255]))
story.push([...new Uint8Array(await binary)])

const lost = next('close')
const back = next('open')
socket.send('go')
const { code, reason, willRetry } = await lost
story.push([code, reason, willRetry])
await back
const again = next('text')
socket.send('hello again')
story.push(await again)

const closed = next('close')
socket.close(4001, 'done')
const end = await closed
story.push([end.code, end.reason, end.wasClean, end.willRetry])

// The drop-in, with its own events.
const plain = new SteadyWebSocket(url, 'talk')
plain.onmessage = ({ data }) => {
  story.push(data)
  plain.close(1000)
}
plain.onclose = ({ code, wasClean }) => {
  story.push([code, wasClean])
  console.log(JSON.stringify(story))
}
plain.send('from the drop-in')
