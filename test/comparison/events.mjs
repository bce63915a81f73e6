// What listeners may rely on: the rules of the platform's own events.

import { binaryTypeIsOption } from './abilities.mjs'
import { comesBack } from './outage.mjs'

const bug = () => {
  throw new Error('a bug in a listener')
}

/** Listens as the library has it, with the platform's options where there are any. */
const listen = (client, rig, type, listener, options) => {
  const { socket } = client
  // Its emitter has a method of that name, but not after the platform.
  if (socket.io) rig.skip('has its own events')
  if (socket.addEventListener) return socket.addEventListener(type, listener, options)
  // Of ours in its own words.
  if (socket.stats) return socket.on(type === 'message' ? 'text' : type, listener, options)
  rig.skip('has no such listeners')
}
const unlisten = ({ socket }, type, listener) =>
  socket.removeEventListener ? socket.removeEventListener(type, listener) : socket.off('text', listener)

/** Two messages, a second apart. */
const twoMessages = async rig => {
  rig.server.latest.send('1')
  await rig.pass(1_000)
  rig.server.latest.send('2')
  await rig.pass(1_000)
}

const times = count => `heard ${count} times`

export const events = {
  subject: 'Events',
  scenarios: [
    {
      id: 'events-throwing-listener',
      title: 'A listener that throws does not keep the others from hearing',
      why: 'https://dom.spec.whatwg.org/#concept-event-listener-inner-invoke',
      async run(_, rig) {
        const client = await rig.opened()
        if (!client.on) rig.skip('one listener for each event')
        let heard = 0
        client.on('message', bug)
        client.on('message', () => heard++)
        await twoMessages(rig)
        if (heard !== 2) return `the next listener ${times(heard)} of 2`
      },
    },
    {
      id: 'events-throwing-close',
      title: 'A `close` listener that throws does not end reconnection',
      needs: 'reconnects',
      async run(_, rig) {
        await rig.steady(undefined, { hear: { close: bug } })
        rig.server.latest.cut()
        if (!(await comesBack(rig))) return 'never reconnects'
      },
    },
    {
      id: 'events-once',
      title: '`once` is obeyed',
      why: 'https://dom.spec.whatwg.org/#dom-addeventlisteneroptions-once',
      async run(_, rig) {
        const client = await rig.opened()
        let heard = 0
        listen(client, rig, 'message', () => heard++, { once: true })
        await twoMessages(rig)
        if (heard !== 1) return times(heard)
      },
    },
    {
      id: 'events-signal',
      title: '`signal` is obeyed',
      why: 'https://dom.spec.whatwg.org/#dom-addeventlisteneroptions-signal',
      async run(_, rig) {
        const client = await rig.opened()
        const leave = new AbortController()
        let heard = 0
        listen(client, rig, 'message', () => heard++, { signal: leave.signal })
        leave.abort()
        await twoMessages(rig)
        if (heard) return `${times(heard)} after it was aborted`
      },
    },
    {
      id: 'events-handle-event',
      title: 'An object with `handleEvent` is a listener',
      why: 'https://dom.spec.whatwg.org/#callbackdef-eventlistener',
      async run(_, rig) {
        const client = await rig.opened()
        let heard = 0
        if (client.socket.stats) rig.skip('takes functions')
        listen(client, rig, 'message', { handleEvent: () => heard++ })
        await twoMessages(rig)
        if (heard !== 2) return `${times(heard)} of 2`
      },
    },
    {
      id: 'events-same-listener',
      title: 'The same listener twice is one',
      why: 'https://dom.spec.whatwg.org/#add-an-event-listener',
      async run(_, rig) {
        const client = await rig.opened()
        let heard = 0
        const listener = () => heard++
        listen(client, rig, 'message', listener)
        listen(client, rig, 'message', listener)
        await twoMessages(rig)
        if (heard !== 2) return `${times(heard)} for 2 messages`
      },
    },
    {
      id: 'events-self-removing',
      title: 'A listener that removes itself takes nobody else’s turn',
      why: 'https://dom.spec.whatwg.org/#concept-event-listener-invoke',
      async run(_, rig) {
        const client = await rig.opened()
        let heard = 0
        const first = () => unlisten(client, 'message', first)
        listen(client, rig, 'message', first)
        listen(client, rig, 'message', () => heard++)
        await twoMessages(rig)
        if (heard !== 2) return `the next listener ${times(heard)} of 2`
      },
    },
    {
      id: 'events-binary-type',
      title: '`binaryType` lasts over a reconnection',
      why: 'https://websockets.spec.whatwg.org/#dom-websocket-binarytype',
      needs: 'reconnects',
      async run(peer, rig) {
        const binaryType = 'arraybuffer'
        const client = await rig.steady(undefined, binaryTypeIsOption(peer) && { binaryType })
        if ('binaryType' in client.socket) client.socket.binaryType = binaryType
        else if (!binaryTypeIsOption(peer)) rig.skip('has none')
        rig.server.latest.cut()
        if (!(await comesBack(rig))) return 'never reconnects'
        await rig.pass(1_000)
        rig.server.latest.send(Buffer.from([1]))
        await rig.pass(1_000)
        const [data] = client.heard.message
        if (!(data instanceof ArrayBuffer)) return `arrived as ${data?.constructor.name ?? 'nothing'}`
      },
    },
  ],
}
