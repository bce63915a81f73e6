// A connection that may be dead after sleep, and one that is replaced although it works.
import { comesBack } from './outage.mjs'

/** The line is dead, and the network comes back: only new connections work. */
const wakeUp = async (rig, isDead) => {
  const client = await rig.steady(undefined, { defaults: true })
  if (isDead) rig.server.latest.freeze()
  rig.page.online(true)
  return client
}

/** Of ours: a message that arrives on two connections is recognized. */
const handover = { id: data => data }

/**
 * The server sends a message to all connections of the client every 5 ms, and the client sends one. After 0.1 s the client moves by itself,
 * and it goes on for 1.5 s. Returns what was sent, and what arrived.
 */
const rotate = async (peer, rig) => {
  const client = await rig.steady(undefined, peer.ours && { options: { handover } })
  const move = client.handover ?? client.reconnect
  if (!move) rig.skip('cannot')
  const sent = { up: [], down: [] }
  for (let i = 0; i < 320; i++) {
    if (i === 20) move()
    sent.down.push(`down ${i}`)
    for (const connection of rig.server.open) connection.send(`down ${i}`)
    sent.up.push(`up ${i}`)
    try {
      client.send(`up ${i}`)
    } catch {
      // There is no connection, and no queue.
    }
    await rig.pass(5)
  }
  await rig.pass(30_000)
  return { sent, heard: client.heard.message, received: rig.server.received }
}

const missing = (all, some) => all.filter(one => !some.includes(one)).length

export const handovers = {
  subject: 'Handover',
  scenarios: [
    {
      id: 'handover-wake',
      title: 'By default, a half-open connection is replaced within a second after the network has come back',
      needs: 'reconnects',
      async run(_, rig) {
        await wakeUp(rig, true)
        if (!(await comesBack(rig, 1_000))) return 'is not'
      },
    },
    {
      id: 'handover-first-message',
      title:
        'By default, the first message after the network has come back arrives, although the connection is half-open',
      needs: 'reconnects',
      async run(_, rig) {
        const client = await wakeUp(rig, true)
        await rig.pass(10)
        client.send('first')
        await rig.pass(120_000)
        if (!rig.server.received.includes('first')) return 'is lost'
      },
    },
    {
      id: 'handover-silent',
      title: 'By default, a healthy, silent connection is kept when the network has come back',
      needs: 'reconnects',
      async run(_, rig) {
        await wakeUp(rig, false)
        await rig.pass(10_000)
        if (rig.server.connections.length > 1) return 'is replaced'
      },
    },
    {
      id: 'handover-rotation-down',
      title:
        'The client moves to another connection: none of the 200 messages a second of the server is lost or heard twice',
      needs: 'reconnects',
      async run(peer, rig) {
        const { sent, heard } = await rotate(peer, rig)
        const lost = missing(sent.down, heard)
        if (lost) return `${lost} lost`
        if (new Set(heard).size < heard.length) return 'some twice'
      },
    },
    {
      id: 'handover-rotation-up',
      title: 'The same: none of its own is lost, and the order is kept',
      needs: 'reconnects',
      async run(peer, rig) {
        const { sent, received } = await rotate(peer, rig)
        const lost = missing(sent.up, received)
        if (lost) return `${lost} lost`
        if (received.join() !== sent.up.join()) return 'not in order'
      },
    },
    {
      id: 'handover-deploy',
      title: 'A server that announces its end, and closes a second later, can be left without a lost message',
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
        if (missing(all, client.heard.message)) return 'some are lost'
      },
    },
  ],
}
