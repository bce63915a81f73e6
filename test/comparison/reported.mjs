// Faults that users of WebSocket clients have reported, as far as they can be tested with every client.

import { reconnects } from './outage.mjs'

const DAY = 86_400_000

/** The options that disable the queue, by library. */
const NO_QUEUE = {
  steadysocket: { queue: false },
  'steadysocket/websocket': { queue: false },
  'reconnecting-websocket': { maxEnqueuedMessages: 0 },
  partysocket: { maxEnqueuedMessages: 0 },
  '@nktkas/rews': { maxEnqueuedMessages: 0 },
}
/** The options for a constant delay, by library. */
const constantDelay = delay => ({
  steadysocket: { retry: () => delay },
  'steadysocket/websocket': { retry: () => delay },
  'reconnecting-websocket': { minReconnectionDelay: delay, maxReconnectionDelay: delay },
  partysocket: { minReconnectionDelay: delay, maxReconnectionDelay: delay },
  '@nktkas/rews': { reconnectionDelay: delay },
  'sturdy-websocket': { minReconnectDelay: delay, maxReconnectDelay: delay },
  'robust-websocket': { shouldReconnect: () => delay },
  sockette: { timeout: delay },
  'iso-websocket': { retry: { forever: true, minTimeout: delay, maxTimeout: delay } },
  'socket.io-client': { reconnectionDelay: delay, reconnectionDelayMax: delay, randomizationFactor: 0 },
})

export const reported = {
  subject: 'Reported',
  scenarios: [
    {
      id: 'reported-no-queue',
      title: 'If the queue is disabled, no message is sent on a later connection',
      needs: 'queues',
      async run({ name }, rig) {
        const options = NO_QUEUE[name] ?? rig.skip('has no such option')
        const client = await rig.steady(undefined, { options })
        rig.server.mode = 'refuse'
        rig.server.latest.freeze()
        const big = 'x'.repeat(2 ** 20)
        for (let i = 0; i < 12; i++) client.send(big)
        await rig.settle()
        rig.server.latest.cut()
        await rig.pass(3_000)
        client.send('sent during the outage')
        rig.server.mode = 'accept'
        await rig.pass(30_000)
        const { received } = rig.server.latest
        if (rig.server.connections.length < 2) return 'does not reconnect'
        if (received.length) return `${received.length} are sent`
      },
    },
    {
      id: 'reported-keep-alive',
      title:
        'A server that sends, and closes clients from which it receives nothing for a minute, does not close this one',
      why: 'https://hexdocs.pm/phoenix/Phoenix.Endpoint.html#socket/3-common-configuration',
      async run(_, rig) {
        let last = 0
        rig.server.onConnection = ({ wire, at }) => {
          last = at
          wire.on('message', () => {
            last = rig.clock.now
          })
        }
        await rig.steady()
        for (let second = 0; second < 180; second++) {
          if (rig.clock.now - last > 60_000) return 'closed after a minute'
          rig.server.latest.send('tick')
          await rig.pass(1_000)
        }
      },
    },
    {
      id: 'reported-close-events',
      title: 'Each failed attempt causes a `close` event, as with `WebSocket`',
      why: 'https://websockets.spec.whatwg.org/#eventdef-websocket-close',
      needs: 'reconnects',
      async run(_, rig) {
        rig.server.mode = 'refuse'
        const client = rig.connect()
        await rig.until(() => rig.server.attempts.length >= 4)
        await rig.settle()
        const { close } = client.events
        if (close.length < 3) return `${close.length} events after four attempts`
      },
    },
    {
      id: 'reported-constructor',
      title: 'If the constructor throws at a later attempt, this attempt fails',
      needs: 'reconnects',
      async run(_, rig) {
        await rig.steady()
        rig.server.latest.cut()
        await rig.settle()
        globalThis.WebSocket.isBroken = true
        await rig.pass(20_000)
        globalThis.WebSocket.isBroken = false
        if (!(await reconnects(rig, 60_000))) return 'never reconnects'
      },
    },
    {
      id: 'reported-early-close',
      title:
        'If `close()` before `open` has no effect, there is one connection after five calls of `reconnect()`',
      needs: 'reconnects',
      async run(_, rig) {
        globalThis.WebSocket.ignoresEarlyClose = true
        rig.server.mode = 'hang'
        const client = rig.connect()
        if (!client.reconnect) rig.skip('has no such method')
        for (let i = 0; i < 5; i++) {
          await rig.pass(500)
          client.reconnect()
        }
        await rig.pass(500)
        rig.server.mode = 'accept'
        rig.server.release()
        await rig.pass(30_000)
        if (rig.server.open.length !== 1) return `${rig.server.open.length} connections are open`
      },
    },
    {
      id: 'reported-long-wait',
      title: 'A delay of thirty days takes thirty days',
      why: 'https://html.spec.whatwg.org/multipage/timers-and-user-prompts.html#timers',
      needs: 'reconnects',
      async run({ name }, rig) {
        const options = constantDelay(30 * DAY)[name] ?? rig.skip('has no such option')
        await rig.steady(undefined, { options })
        rig.server.latest.cut()
        if (await reconnects(rig, 29 * DAY)) return 'reconnects earlier'
        if (!(await reconnects(rig, 30 * DAY))) return 'still waits'
      },
    },
    {
      id: 'reported-offline-local',
      title: 'It reconnects to a server on the same machine while the browser reports that it is offline',
      why: 'https://html.spec.whatwg.org/multipage/system-state.html#navigator.online',
      needs: 'reconnects',
      async run(_, rig) {
        await rig.steady()
        rig.page.online(false)
        rig.server.latest.cut()
        if (!(await reconnects(rig, 20_000))) return 'waits until it is online'
      },
    },
    {
      id: 'reported-many-outages',
      title: 'It reconnects after the tenth outage as after the first',
      why: 'https://github.com/pusher/pusher-js/issues/553',
      needs: 'reconnects',
      async run(_, rig) {
        await rig.steady()
        for (let outage = 1; outage <= 10; outage++) {
          rig.server.latest.cut()
          const isBack = () => rig.server.connections.length > outage
          if (!(await rig.until(isBack, 30_000))) return `does not reconnect after outage ${outage}`
          await rig.pass(10_000)
        }
      },
    },
    {
      id: 'reported-normal-close',
      title: 'It reconnects after a server closes with 1000 to restart',
      why: 'https://github.com/enisdenjo/graphql-ws/issues/446',
      needs: 'reconnects',
      async run(peer, rig) {
        if (peer.protocol) rig.skip('has no codes')
        await rig.steady()
        rig.server.latest.close(1000)
        if (!(await reconnects(rig, 60_000))) return 'never reconnects'
      },
    },
    {
      id: 'reported-misspelt',
      title: 'A misspelt option causes an error',
      async run({ name }, rig) {
        if (/native|websocket-ts/.test(name)) rig.skip('has no options')
        try {
          rig.connect(undefined, { options: { conectTimeout: 1_000 } })
        } catch {
          return
        }
        return 'no error'
      },
    },
    {
      id: 'reported-unsent-calls',
      title: 'When a connection closes, the caller can get the messages that will be sent again',
      needs: 'queues',
      async run(_, rig) {
        const client = await rig.steady()
        const core = client.socket.socket ?? client.socket
        if (!core.queuedMessages) return 'has no such method'
        let queued
        client.on('close', () => {
          queued ??= core.queuedMessages()
        })
        rig.server.latest.freeze()
        for (let i = 0; i < 40; i++) client.send(`${i}`.padEnd(2 ** 18, '.'))
        await rig.settle()
        rig.server.latest.cut()
        await rig.pass(30_000)
        const { received } = rig.server.latest
        if (!queued?.length || received.join() !== queued.join()) return 'other messages are sent'
      },
    },
  ],
}
