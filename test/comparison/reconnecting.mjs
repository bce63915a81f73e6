// How a connection comes back, and how it does not.

import { askFor, asksForPromises, hangs, reconnectsByDefault, rejects } from './abilities.mjs'
import { afterAttempt, comesBack, inOutage, notOne } from './outage.mjs'

/** The connection is lost after it had been good; then a function for the URL fails once. */
const afterFailedUrl = async (peer, rig, turn, patience) => {
  const ask = askFor(peer, rig, { 2: turn })
  await rig.steady(ask)
  rig.server.latest.cut()
  if (!(await comesBack(rig, patience))) {
    return `never reconnects: the function was called ${ask.calls} times`
  }
}

/** The most connections within a tenth of a second. */
const crowd = moments =>
  Math.max(...moments.map(from => moments.filter(at => at >= from && at < from + 100).length))

export const reconnecting = {
  subject: 'Reconnecting',
  scenarios: [
    {
      id: 'reconnect-after-reset',
      title: 'Comes back after a reset',
      needs: 'reconnects',
      async run(_, rig) {
        await rig.steady()
        rig.server.latest.cut()
        if (!(await comesBack(rig))) return 'does not'
      },
    },
    {
      id: 'reconnect-long-outage',
      title: 'Comes back within 30 s after an outage of ten minutes, without a storm in between',
      why: 'https://github.com/lukeed/sockette/issues/30',
      needs: 'reconnects',
      async run(_, rig) {
        await rig.steady()
        const before = rig.server.attempts.length
        rig.server.mode = 'refuse'
        rig.server.latest.cut()
        await rig.pass(600_000)
        const attempts = rig.server.attempts.length - before
        rig.server.mode = 'accept'
        if (!(await comesBack(rig, 30_000))) return 'gave up'
        if (attempts > 1_000) return `${attempts} attempts`
      },
    },
    {
      id: 'reconnect-url-each-time',
      title: 'A function for the URL is asked at every attempt',
      why: 'https://github.com/pladaria/reconnecting-websocket/issues/28',
      needs: 'reconnects',
      async run(peer, rig) {
        const ask = askFor(peer, rig, {})
        await rig.steady(ask)
        rig.server.latest.cut()
        if (!(await comesBack(rig))) return 'does not come back'
        if (ask.calls !== 2) return `asked ${ask.calls} times for 2 attempts`
      },
    },
    {
      id: 'reconnect-url-rejects',
      title: 'A URL function that fails once is one failed attempt',
      why: 'https://github.com/pladaria/reconnecting-websocket/issues/134',
      needs: 'reconnects',
      run: (peer, rig) => afterFailedUrl(peer, rig, rejects(new Error('no token')), 60_000),
    },
    {
      id: 'reconnect-url-rejects-undefined',
      title: 'The same if it fails with something that is no `Error`',
      needs: 'reconnects',
      run: (peer, rig) => afterFailedUrl(peer, rig, rejects(undefined), 60_000),
    },
    {
      id: 'reconnect-url-hangs',
      title: 'A URL function that never answers is given up',
      needs: 'reconnects',
      run(peer, rig) {
        if (!asksForPromises(peer)) rig.skip('takes no promise')
        return afterFailedUrl(peer, rig, hangs, 120_000)
      },
    },
    {
      id: 'reconnect-handshake-hangs',
      title: 'A handshake that gets no answer for a minute is given up for another',
      needs: 'reconnects',
      async run(_, rig) {
        rig.server.mode = 'hang'
        rig.connect()
        if (!(await rig.until(() => rig.server.attempts.length > 1))) return 'waits on'
      },
    },
    {
      id: 'reconnect-late-handshake',
      title: 'A handshake that was given up and is answered late leaves no second connection',
      needs: 'reconnects',
      async run(_, rig) {
        rig.server.mode = 'hang'
        rig.connect()
        if (!(await rig.until(() => rig.server.attempts.length > 1))) rig.skip('never gives up')
        return notOne(rig)
      },
    },
    {
      id: 'reconnect-now-waiting',
      title: '`reconnect()` ends a wait',
      why: 'https://github.com/pladaria/reconnecting-websocket/issues/91',
      needs: 'reconnects',
      async run(_, rig) {
        const client = await inOutage(rig)
        if (!client.reconnect) rig.skip('has none')
        await afterAttempt(rig)
        rig.server.mode = 'accept'
        client.reconnect()
        if (!(await rig.until(() => rig.server.open.length, 400))) return 'waits on'
      },
    },
    {
      id: 'reconnect-now-dead-peer',
      title: '`reconnect()` away from a dead peer does not wait for its answer',
      needs: 'reconnects',
      async run(_, rig) {
        const client = await rig.steady()
        if (!client.reconnect) rig.skip('has none')
        rig.server.latest.freeze()
        client.reconnect()
        if (await comesBack(rig, 2_000)) return
        const later = await comesBack(rig, 120_000)
        return later
          ? `reconnects after ${Math.round((rig.server.latest.at - client.at) / 1_000 - 10)} s`
          : 'never'
      },
    },
    {
      id: 'reconnect-after-close',
      title: 'After `close()` and a new start it survives a reset again',
      needs: 'reconnects',
      async run(_, rig) {
        const client = await rig.steady()
        const again = client.socket.open ?? client.reconnect
        if (!again) rig.skip('has no new start')
        client.close()
        await rig.pass(5_000)
        try {
          again.call(client.socket)
        } catch {
          rig.skip('has no new start')
        }
        const { length } = rig.server.connections
        // It says so itself.
        if (client.socket.terminationSignal?.aborted) rig.skip('has no new start')
        if (!(await rig.until(() => rig.server.connections.length > length))) return 'does not start again'
        await rig.pass(10_000)
        rig.server.latest.cut()
        if (!(await rig.until(() => rig.server.connections.length > length + 1))) return 'does not come back'
      },
    },
    {
      id: 'reconnect-fleet',
      title:
        'Of 30 clients that lose their server at once, less than half are back within one tenth of a second',
      why: 'https://github.com/django/channels/issues/568',
      needs: 'reconnects',
      async run(_, rig) {
        for (let i = 0; i < 30; i++) rig.connect(rig.farUrl)
        await rig.until(() => rig.server.open.length === 30)
        await rig.pass(10_000)
        const { length } = rig.server.connections
        for (const connection of rig.server.open) connection.close(1012)
        await rig.pass(30_000)
        const back = rig.server.connections.slice(length).map(({ at }) => at)
        if (back.length < 30) return `${back.length} of 30 are back after 30 s`
        if (crowd(back) >= 15) return crowd(back) === 30 ? 'all at once' : 'most at once'
      },
    },
    {
      id: 'reconnect-no-hammering',
      title: 'A server that accepts and drops is asked less and less often',
      why: 'https://github.com/lukeed/sockette/issues/23',
      needs: 'reconnects',
      async run(_, rig) {
        rig.server.greet = connection => connection.cut()
        rig.connect()
        await rig.pass(60_000)
        const before = rig.server.attempts.length
        await rig.pass(60_000)
        const attempts = rig.server.attempts.length - before
        // Once in two seconds is what the peers' own longest waits come to, and more.
        if (attempts > 30) return `in the second minute ${Math.round(attempts / 60)} a second`
      },
    },
    {
      id: 'reconnect-refusal',
      title: 'By default, a refusal (1008, policy violation) ends the attempts',
      why: 'https://github.com/cloudflare/partykit/pull/409',
      needs: 'reconnects',
      async run(peer, rig) {
        if (!reconnectsByDefault(peer)) rig.skip('ends at everything')
        await rig.steady(undefined, { defaults: true })
        const { length } = rig.server.attempts
        rig.server.latest.close(1008, 'token expired')
        await rig.pass(60_000)
        const attempts = rig.server.attempts.length - length
        if (attempts) return 'tries again'
      },
    },
  ],
}
