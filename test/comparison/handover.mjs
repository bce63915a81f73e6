// Connections that may be dead after sleep, and working connections that are replaced.
import { reconnects } from './outage.mjs'

/** Simulates a wake-up: the network is back, but if `isDead`, only new connections work. */
const wakeUp = async (rig, isDead) => {
  const client = await rig.steady(undefined, { defaults: true })
  if (isDead) rig.server.latest.freeze()
  rig.page.online(true)
  return client
}

/** The option of this package with which it recognizes messages that arrive on two connections. */
const handover = { id: data => data }

/**
 * Every 5 ms, the server sends a message to all connections of the client, and the client sends one. After 0.1 s, the client replaces its connection.
 * The messages continue for 1.5 s. Returns the sent and the received messages.
 */
const replaceConnection = async (peer, rig) => {
  const client = await rig.steady(undefined, peer.ours && { options: { handover } })
  const replace = client.handover ?? client.reconnect
  if (!replace) rig.skip('has no such method')
  const sent = { up: [], down: [] }
  for (let i = 0; i < 320; i++) {
    if (i === 20) replace()
    sent.down.push(`down ${i}`)
    for (const connection of rig.server.open) connection.send(`down ${i}`)
    sent.up.push(`up ${i}`)
    try {
      client.send(`up ${i}`)
    } catch {
      // Without a connection and a queue, send() throws.
    }
    await rig.pass(5)
  }
  await rig.pass(30_000)
  return { sent, receivedByClient: client.events.message, received: rig.server.received }
}

const countMissing = (all, some) => all.filter(one => !some.includes(one)).length

export const handovers = {
  subject: 'Handover',
  scenarios: [
    {
      id: 'handover-wake',
      title: 'By default, a half-open connection is replaced within a second after the network has come back',
      needs: 'reconnects',
      async run(_, rig) {
        await wakeUp(rig, true)
        if (!(await reconnects(rig, 1_000))) return 'not replaced'
      },
    },
    {
      id: 'handover-first-message',
      title:
        'By default, the first message after the network has come back arrives, even if the connection is half-open',
      needs: 'reconnects',
      async run(_, rig) {
        const client = await wakeUp(rig, true)
        await rig.pass(10)
        client.send('first')
        await rig.pass(120_000)
        if (!rig.server.received.includes('first')) return 'lost'
      },
    },
    {
      id: 'handover-silent',
      title: 'By default, a healthy, silent connection is kept when the network has come back',
      needs: 'reconnects',
      async run(_, rig) {
        await wakeUp(rig, false)
        await rig.pass(10_000)
        if (rig.server.connections.length > 1) return 'replaced'
      },
    },
    {
      id: 'handover-rotation-down',
      title:
        'When the client replaces its connection, none of 200 messages per second from the server is lost or received twice',
      needs: 'reconnects',
      async run(peer, rig) {
        const { sent, receivedByClient } = await replaceConnection(peer, rig)
        const lost = countMissing(sent.down, receivedByClient)
        if (lost) return `${lost} lost`
        if (new Set(receivedByClient).size < receivedByClient.length) return 'some received twice'
      },
    },
    {
      id: 'handover-rotation-up',
      title:
        'When the client replaces its connection, none of its own messages is lost, and their order is kept',
      needs: 'reconnects',
      async run(peer, rig) {
        const { sent, received } = await replaceConnection(peer, rig)
        const lost = countMissing(sent.up, received)
        if (lost) return `${lost} lost`
        if (received.join() !== sent.up.join()) return 'not in order'
      },
    },
    {
      id: 'handover-deploy',
      title:
        'If a server announces its shutdown one second before, the client can replace its connection without losing a message',
      needs: 'reconnects',
      async run(peer, rig) {
        const options = { handover: { ...handover, when: data => data === 'leaving' } }
        const client = await rig.steady(undefined, peer.ours && { options })
        const old = rig.server.latest
        old.send('leaving')
        for (let i = 0; i < 200; i++) {
          if (i === 20) old.close(1012)
          for (const connection of rig.server.open) connection.send(`${i}`)
          await rig.pass(50)
        }
        const all = Array.from({ length: 200 }, (_, i) => `${i}`)
        if (countMissing(all, client.events.message)) return 'some are lost'
      },
    },
  ],
}
