// Listeners: the rules of DOM events.

import { binaryTypeIsOption } from './abilities.mjs'
import { reconnects } from './outage.mjs'

const bug = () => {
  throw new Error('a bug in a listener')
}

/** Adds a listener with the method of the library, and with DOM options if it supports them. */
const listen = (client, rig, type, listener, options) => {
  const { socket } = client
  // The emitter of socket.io has a method `addEventListener()`, but without the options of the DOM.
  if (socket.io) rig.skip('has its own events')
  if (socket.addEventListener) return socket.addEventListener(type, listener, options)
  // `createSocket()` of this package has its own names of events.
  if (socket.stats) return socket.on(type === 'message' ? 'text' : type, listener, options)
  rig.skip('has no such listeners')
}
const unlisten = ({ socket }, type, listener) =>
  socket.removeEventListener ? socket.removeEventListener(type, listener) : socket.off('text', listener)

/** The server sends two messages, a second apart. */
const twoMessages = async rig => {
  rig.server.latest.send('1')
  await rig.pass(1_000)
  rig.server.latest.send('2')
  await rig.pass(1_000)
}

const times = count => `is called ${count} times`

export const events = {
  subject: 'Events',
  scenarios: [
    {
      id: 'events-throwing-listener',
      title: 'A listener that throws does not prevent other listeners from being called',
      why: 'https://dom.spec.whatwg.org/#concept-event-listener-inner-invoke',
      async run(_, rig) {
        const client = await rig.opened()
        if (!client.on) rig.skip('supports one listener for each event')
        let calls = 0
        client.on('message', bug)
        client.on('message', () => calls++)
        await twoMessages(rig)
        if (calls !== 2) return `the next listener ${times(calls)}, not 2`
      },
    },
    {
      id: 'events-throwing-close',
      title: 'A `close` listener that throws does not end reconnection',
      needs: 'reconnects',
      async run(_, rig) {
        await rig.steady(undefined, { listeners: { close: bug } })
        rig.server.latest.cut()
        if (!(await reconnects(rig))) return 'never reconnects'
      },
    },
    {
      id: 'events-once',
      title: 'The option `once` works',
      why: 'https://dom.spec.whatwg.org/#dom-addeventlisteneroptions-once',
      async run(_, rig) {
        const client = await rig.opened()
        let calls = 0
        listen(client, rig, 'message', () => calls++, { once: true })
        await twoMessages(rig)
        if (calls !== 1) return times(calls)
      },
    },
    {
      id: 'events-signal',
      title: 'The option `signal` works',
      why: 'https://dom.spec.whatwg.org/#dom-addeventlisteneroptions-signal',
      async run(_, rig) {
        const client = await rig.opened()
        const controller = new AbortController()
        let calls = 0
        listen(client, rig, 'message', () => calls++, { signal: controller.signal })
        controller.abort()
        await twoMessages(rig)
        if (calls) return `${times(calls)} after it was aborted`
      },
    },
    {
      id: 'events-handle-event',
      title: 'An object with `handleEvent` is a listener',
      why: 'https://dom.spec.whatwg.org/#callbackdef-eventlistener',
      async run(_, rig) {
        const client = await rig.opened()
        let calls = 0
        if (client.socket.stats) rig.skip('supports only functions')
        listen(client, rig, 'message', { handleEvent: () => calls++ })
        await twoMessages(rig)
        if (calls !== 2) return `${times(calls)}, not 2`
      },
    },
    {
      id: 'events-same-listener',
      title: 'A listener that is added twice is called once',
      why: 'https://dom.spec.whatwg.org/#add-an-event-listener',
      async run(_, rig) {
        const client = await rig.opened()
        let calls = 0
        const listener = () => calls++
        listen(client, rig, 'message', listener)
        listen(client, rig, 'message', listener)
        await twoMessages(rig)
        if (calls !== 2) return `${times(calls)} for 2 messages`
      },
    },
    {
      id: 'events-self-removing',
      title: 'A listener that removes itself does not cause the next one to be skipped',
      why: 'https://dom.spec.whatwg.org/#concept-event-listener-invoke',
      async run(_, rig) {
        const client = await rig.opened()
        let calls = 0
        const first = () => unlisten(client, 'message', first)
        listen(client, rig, 'message', first)
        listen(client, rig, 'message', () => calls++)
        await twoMessages(rig)
        if (calls !== 2) return `the next listener ${times(calls)}, not 2`
      },
    },
    {
      id: 'events-binary-type',
      title: '`binaryType` is kept after a reconnection',
      why: 'https://websockets.spec.whatwg.org/#dom-websocket-binarytype',
      needs: 'reconnects',
      async run(peer, rig) {
        const binaryType = 'arraybuffer'
        const client = await rig.steady(undefined, binaryTypeIsOption(peer) && { binaryType })
        if ('binaryType' in client.socket) client.socket.binaryType = binaryType
        else if (!binaryTypeIsOption(peer)) rig.skip('has none')
        rig.server.latest.cut()
        if (!(await reconnects(rig))) return 'never reconnects'
        await rig.pass(1_000)
        rig.server.latest.send(Buffer.from([1]))
        await rig.pass(1_000)
        const [data] = client.events.message
        if (!(data instanceof ArrayBuffer)) return `arrived as ${data?.constructor.name ?? 'nothing'}`
      },
    },
  ],
}
