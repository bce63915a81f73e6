// Features that other libraries have and this package does not, or that it implements differently on purpose.

const SURFACE = [
  ...['url', 'readyState', 'bufferedAmount', 'extensions', 'protocol', 'binaryType', 'send', 'close'],
  ...['onopen', 'onmessage', 'onerror', 'onclose', 'addEventListener', 'removeEventListener'],
]

export const beyond = {
  subject: 'Beyond',
  scenarios: [
    {
      id: 'beyond-drop-in',
      title: 'Has the members of `WebSocket` and is an `EventTarget`, so that it can replace `WebSocket`',
      why: 'https://websockets.spec.whatwg.org/#the-websocket-interface',
      async run(_, rig) {
        const { socket } = await rig.opened()
        const missing = SURFACE.filter(name => !(name in socket))
        if (missing.length) return `lacks ${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ', …' : ''}`
        if (!(socket instanceof EventTarget)) return 'is not an EventTarget'
      },
    },
    {
      id: 'beyond-back-at-once',
      title: 'A single client that loses its connection reconnects within a tenth of a second',
      needs: 'reconnects',
      async run(_, rig) {
        for (let i = 0; i < 5; i++) {
          if (i === 0) await rig.steady()
          const { length } = rig.server.connections
          rig.server.latest.cut()
          if (!(await rig.until(() => rig.server.connections.length > length, 100))) return 'takes longer'
          await rig.pass(10_000)
        }
      },
    },
    {
      id: 'beyond-back-after-restart',
      title: 'After a restart of the server (1012), a client reconnects within three seconds',
      needs: 'reconnects',
      async run(_, rig) {
        // Repeated, so that a client for which this is only probable does not pass by chance.
        for (let i = 0; i < 20; i++) {
          if (i === 0) await rig.steady(rig.farUrl)
          const { length } = rig.server.connections
          rig.server.latest.close(1012)
          if (!(await rig.until(() => rig.server.connections.length > length, 3_000))) return 'takes longer'
          await rig.pass(10_000)
        }
      },
    },
    {
      id: 'beyond-large-message',
      title: 'A message of 20 MiB is queued by default',
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
      title: 'Messages can be acknowledged',
      why: 'https://socket.io/docs/v4/emitting-events/#acknowledgements',
      async run(_, rig) {
        const { socket } = await rig.opened()
        if (!socket.emitWithAck) return 'has no acknowledgements'
        const arrived = socket.emitWithAck('message', 'x').then(() => true)
        await rig.pass(1_000)
        if (!(await Promise.race([arrived, false]))) return 'no acknowledgement arrives'
      },
    },
    {
      id: 'beyond-no-websocket',
      title: 'Works if WebSockets are blocked',
      why: 'https://socket.io/docs/v4/how-it-works/#http-long-polling',
      async run(peer, rig) {
        rig.server.mode = 'refuse'
        const options = peer.protocol && { transports: ['polling', 'websocket'] }
        const client = rig.connect(undefined, { options })
        if (!peer.protocol) {
          await rig.pass(10_000)
          return rig.server.connections.length ? undefined : 'has no other transport'
        }
        if (!(await rig.until(() => rig.server.connections.length))) return 'does not connect'
        client.send('x')
        await rig.pass(5_000)
        if (!rig.server.received.length) return 'does not arrive'
      },
    },
    {
      id: 'beyond-operators',
      title: 'Messages are an `Observable`',
      why: 'https://rxjs.dev/api/webSocket/webSocket',
      async run(_, rig) {
        const { socket } = await rig.opened()
        if (typeof socket.pipe !== 'function' || typeof socket.subscribe !== 'function')
          return 'not an Observable'
      },
    },
    {
      id: 'beyond-lazy',
      title: 'Connects for the first subscriber, and closes after the last',
      why: 'https://rxjs.dev/api/webSocket/webSocket',
      async run(_, rig) {
        const { socket, close } = rig.connect()
        if (!socket.subscribe) return 'connects when it is created, or when a method is called'
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
        if (rig.server.open.length) return 'stays open'
      },
    },
  ],
}
