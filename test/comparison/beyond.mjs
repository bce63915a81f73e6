// What others do and ours does not, or does otherwise on purpose.

const SURFACE = [
  ...['url', 'readyState', 'bufferedAmount', 'extensions', 'protocol', 'binaryType', 'send', 'close'],
  ...['onopen', 'onmessage', 'onerror', 'onclose', 'addEventListener', 'removeEventListener'],
]

export const beyond = {
  subject: 'Beyond',
  scenarios: [
    {
      id: 'beyond-drop-in',
      title: 'Has the members of `WebSocket` and is an `EventTarget`: code for the one runs with the other',
      why: 'https://websockets.spec.whatwg.org/#the-websocket-interface',
      async run(_, rig) {
        const { socket } = await rig.opened()
        const missing = SURFACE.filter(name => !(name in socket))
        if (missing.length)
          return `without ${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ', …' : ''}`
        if (!(socket instanceof EventTarget)) return 'is no EventTarget'
      },
    },
    {
      id: 'beyond-back-at-once',
      title: 'A client that is cut off alone is back within a tenth of a second',
      needs: 'reconnects',
      async run(_, rig) {
        for (let i = 0; i < 5; i++) {
          if (i === 0) await rig.steady()
          const { length } = rig.server.connections
          rig.server.latest.cut()
          if (!(await rig.until(() => rig.server.connections.length > length, 100))) return 'waits longer'
          await rig.pass(10_000)
        }
      },
    },
    {
      id: 'beyond-back-after-restart',
      title: 'After a restart of the server (1012) a client is back within three seconds',
      needs: 'reconnects',
      async run(_, rig) {
        // Often enough that a client which mostly is, but not always, does not pass by chance.
        for (let i = 0; i < 20; i++) {
          if (i === 0) await rig.steady(rig.farUrl)
          const { length } = rig.server.connections
          rig.server.latest.close(1012)
          if (!(await rig.until(() => rig.server.connections.length > length, 3_000))) return 'waits longer'
          await rig.pass(10_000)
        }
      },
    },
    {
      id: 'beyond-large-message',
      title: 'A message of 20 MiB waits for the connection, without a setting',
      needs: 'queues',
      async run(_, rig) {
        const client = rig.connect()
        client.send('x'.repeat(20 * 2 ** 20))
        await rig.pass(10_000)
        if (!rig.server.received.length) return 'does not arrive'
      },
    },
    {
      id: 'beyond-acknowledged',
      title: 'The sender learns that a message has arrived',
      why: 'https://socket.io/docs/v4/emitting-events/#acknowledgements',
      async run(_, rig) {
        const { socket } = await rig.opened()
        if (!socket.emitWithAck) return 'has no acknowledgements'
        const arrived = socket.emitWithAck('message', 'x').then(() => true)
        await rig.pass(1_000)
        if (!(await Promise.race([arrived, false]))) return 'no acknowledgement came'
      },
    },
    {
      id: 'beyond-no-websocket',
      title: 'Messages pass where WebSockets are blocked',
      why: 'https://socket.io/docs/v4/how-it-works/#http-long-polling',
      async run(peer, rig) {
        rig.server.mode = 'refuse'
        const options = peer.protocol && { transports: ['polling', 'websocket'] }
        const client = rig.connect(undefined, { options })
        if (!peer.protocol) {
          await rig.pass(10_000)
          return rig.server.connections.length ? undefined : 'has no other way'
        }
        if (!(await rig.until(() => rig.server.connections.length))) return 'does not connect'
        client.send('x')
        await rig.pass(5_000)
        if (!rig.server.received.length) return 'does not arrive'
      },
    },
    {
      id: 'beyond-operators',
      title: 'Messages are an `Observable`, with all its operators',
      why: 'https://rxjs.dev/api/webSocket/webSocket',
      async run(_, rig) {
        const { socket } = await rig.opened()
        if (typeof socket.pipe !== 'function' || typeof socket.subscribe !== 'function') return 'are not'
      },
    },
    {
      id: 'beyond-lazy',
      title: 'Connects with the first who listens, and leaves with the last',
      why: 'https://rxjs.dev/api/webSocket/webSocket',
      async run(_, rig) {
        const { socket, close } = rig.connect()
        if (!socket.subscribe) return 'connects when it is made, or when it is told to'
        close()
        await rig.pass(5_000)
        const before = rig.server.attempts.length
        const lazy = new socket.constructor({ url: rig.url })
        await rig.pass(1_000)
        if (rig.server.attempts.length > before) return 'connects at once'
        const listening = lazy.subscribe()
        await rig.pass(1_000)
        if (rig.server.open.length !== 1) return 'does not connect'
        listening.unsubscribe()
        await rig.pass(1_000)
        if (rig.server.open.length) return 'stays'
      },
    },
  ],
}
