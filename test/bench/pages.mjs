// The same page with each library, for the comparison of sizes.
import { PAGE } from '../package/sizes.mjs'

/** Connects, receives and sends with a class that has the API of `WebSocket`. */
const USE = `const socket = new Socket('wss://push.example.com/feed')
socket.onmessage = ({ data }) => console.log(data)
socket.send('hello')`

/** The shortest page that connects, receives and sends. With a queue, if the library has an optional one. */
export const pages = {
  'native WebSocket': `const socket = new WebSocket('wss://push.example.com/feed')
    socket.onmessage = ({ data }) => console.log(data)
    socket.onopen = () => socket.send('hello')`,
  steadysocket: PAGE,
  'steadysocket/websocket': `import { SteadyWebSocket as Socket } from 'steadysocket/websocket'\n${USE}`,
  'reconnecting-websocket': `import Socket from 'reconnecting-websocket'\n${USE}`,
  partysocket: `import Socket from 'partysocket/ws'\n${USE}`,
  '@nktkas/rews': `import { ReconnectingWebSocket as Socket } from '@nktkas/rews'\n${USE}`,
  'sturdy-websocket': `import Socket from 'sturdy-websocket'\n${USE}`,
  'robust-websocket': `import Socket from 'robust-websocket'\n${USE}`,
  'websocket-ts': `import { ArrayQueue, ExponentialBackoff, WebsocketBuilder } from 'websocket-ts'
    const socket = new WebsocketBuilder('wss://push.example.com/feed').withBuffer(new ArrayQueue()).withBackoff(new ExponentialBackoff(500, 3))
      .onMessage((_, { data }) => console.log(data)).build()
    socket.send('hello')`,
  sockette: `import Socket from 'sockette'
    const socket = Socket('wss://push.example.com/feed', { onmessage: ({ data }) => console.log(data), onopen: () => socket.send('hello') })`,
  'iso-websocket': `import { WS as Socket } from 'iso-websocket'\n${USE}`,
  'rxjs webSocket': `import { retry } from 'rxjs'
    import { webSocket } from 'rxjs/webSocket'
    const socket = webSocket('wss://push.example.com/feed')
    socket.pipe(retry({ delay: 1000 })).subscribe(data => console.log(data))
    socket.next('hello')`,
  'socket.io-client': `import { io } from 'socket.io-client'
    const socket = io('wss://push.example.com/feed', { transports: ['websocket'] })
    socket.on('message', data => console.log(data))
    socket.send('hello')`,
}
