// Reconnecting.

import { acceptsPromise, createUrlFunction, hangs, reconnectsByDefault, rejects } from './abilities.mjs'
import { afterAttempt, checkOneConnection, inOutage, reconnects } from './outage.mjs'

/** A stable connection is lost. Then the function for the URL fails once. */
const afterFailedUrl = async (peer, rig, turn, patience) => {
  const getUrl = createUrlFunction(peer, rig, { 2: turn })
  await rig.steady(getUrl)
  rig.server.latest.cut()
  if (!(await reconnects(rig, patience))) {
    return `never reconnects: the function was called ${getUrl.calls} times`
  }
}

/** The largest number of connections within a tenth of a second. */
const peakOf = moments =>
  Math.max(...moments.map(from => moments.filter(at => at >= from && at < from + 100).length))

export const reconnecting = {
  subject: 'Reconnecting',
  scenarios: [
    {
      id: 'reconnect-after-reset',
      title: 'Reconnects after a reset',
      needs: 'reconnects',
      async run(_, rig) {
        await rig.steady()
        rig.server.latest.cut()
        if (!(await reconnects(rig))) return 'does not'
      },
    },
    {
      id: 'reconnect-long-outage',
      title: 'Reconnects within 30 s after an outage of ten minutes, with at most 1,000 attempts during it',
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
        if (!(await reconnects(rig, 30_000))) return 'gave up'
        if (attempts > 1_000) return `${attempts} attempts`
      },
    },
    {
      id: 'reconnect-url-each-time',
      title: 'A function for the URL is called once for each attempt',
      why: 'https://github.com/pladaria/reconnecting-websocket/issues/28',
      needs: 'reconnects',
      async run(peer, rig) {
        const getUrl = createUrlFunction(peer, rig, {})
        await rig.steady(getUrl)
        rig.server.latest.cut()
        if (!(await reconnects(rig))) return 'does not reconnect'
        if (getUrl.calls !== 2) return `called ${getUrl.calls} times for 2 attempts`
      },
    },
    {
      id: 'reconnect-url-rejects',
      title: 'If a URL function fails once, one attempt fails',
      why: 'https://github.com/pladaria/reconnecting-websocket/issues/134',
      needs: 'reconnects',
      run: (peer, rig) => afterFailedUrl(peer, rig, rejects(new Error('no token')), 60_000),
    },
    {
      id: 'reconnect-url-rejects-undefined',
      title: 'If a URL function fails once with a value that is not an `Error`, one attempt fails',
      needs: 'reconnects',
      run: (peer, rig) => afterFailedUrl(peer, rig, rejects(undefined), 60_000),
    },
    {
      id: 'reconnect-url-hangs',
      title: 'A URL function that never settles times out',
      needs: 'reconnects',
      run(peer, rig) {
        if (!acceptsPromise(peer)) rig.skip('does not accept a promise')
        return afterFailedUrl(peer, rig, hangs, 120_000)
      },
    },
    {
      id: 'reconnect-handshake-hangs',
      title: 'A handshake without an answer times out within a minute',
      needs: 'reconnects',
      async run(_, rig) {
        rig.server.mode = 'hang'
        rig.connect()
        if (!(await rig.until(() => rig.server.attempts.length > 1))) return 'still waits'
      },
    },
    {
      id: 'reconnect-late-handshake',
      title: 'A late answer to a handshake that timed out does not open a second connection',
      needs: 'reconnects',
      async run(_, rig) {
        rig.server.mode = 'hang'
        rig.connect()
        if (!(await rig.until(() => rig.server.attempts.length > 1))) rig.skip('has no timeout')
        return checkOneConnection(rig)
      },
    },
    {
      id: 'reconnect-now-waiting',
      title: '`reconnect()` connects without waiting for the backoff',
      why: 'https://github.com/pladaria/reconnecting-websocket/issues/91',
      needs: 'reconnects',
      async run(_, rig) {
        const client = await inOutage(rig)
        if (!client.reconnect) rig.skip('has none')
        await afterAttempt(rig)
        rig.server.mode = 'accept'
        client.reconnect()
        if (!(await rig.until(() => rig.server.open.length, 400))) return 'still waits'
      },
    },
    {
      id: 'reconnect-now-dead-peer',
      title: '`reconnect()` does not wait for the closing handshake of a dead peer',
      needs: 'reconnects',
      async run(_, rig) {
        const client = await rig.steady()
        if (!client.reconnect) rig.skip('has none')
        rig.server.latest.freeze()
        client.reconnect()
        if (await reconnects(rig, 2_000)) return
        const later = await reconnects(rig, 120_000)
        return later
          ? `reconnects after ${Math.round((rig.server.latest.at - client.at) / 1_000 - 10)} s`
          : 'never'
      },
    },
    {
      id: 'reconnect-after-close',
      title: 'After `close()` and another start, it still reconnects after a reset',
      needs: 'reconnects',
      async run(_, rig) {
        const client = await rig.steady()
        const again = client.socket.open ?? client.reconnect
        if (!again) rig.skip('cannot be started again')
        client.close()
        await rig.pass(5_000)
        try {
          again.call(client.socket)
        } catch {
          rig.skip('cannot be started again')
        }
        const { length } = rig.server.connections
        // The library reports that it cannot.
        if (client.socket.terminationSignal?.aborted) rig.skip('cannot be started again')
        if (!(await rig.until(() => rig.server.connections.length > length))) return 'does not start again'
        await rig.pass(10_000)
        rig.server.latest.cut()
        if (!(await rig.until(() => rig.server.connections.length > length + 1))) return 'does not reconnect'
      },
    },
    {
      id: 'reconnect-fleet',
      title:
        'Of 30 clients that lose their server at the same time, fewer than half reconnect in the same tenth of a second',
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
        if (peakOf(back) >= 15) return peakOf(back) === 30 ? 'all at the same time' : 'most at the same time'
      },
    },
    {
      id: 'reconnect-no-hammering',
      title: 'If the server accepts and drops each connection, attempts become less frequent',
      why: 'https://github.com/lukeed/sockette/issues/23',
      needs: 'reconnects',
      async run(_, rig) {
        rig.server.onConnection = connection => connection.cut()
        rig.connect()
        await rig.pass(60_000)
        const before = rig.server.attempts.length
        await rig.pass(60_000)
        const attempts = rig.server.attempts.length - before
        // With the longest delays of the libraries, there is at most one attempt in two seconds.
        if (attempts > 30) return `${Math.round(attempts / 60)} per second in the second minute`
      },
    },
    {
      id: 'reconnect-refusal',
      title: 'By default, a refusal (1008, policy violation) ends the attempts',
      why: 'https://github.com/cloudflare/partykit/pull/409',
      needs: 'reconnects',
      async run(peer, rig) {
        if (!reconnectsByDefault(peer)) rig.skip('never reconnects by default')
        await rig.steady(undefined, { defaults: true })
        const { length } = rig.server.attempts
        rig.server.latest.close(1008, 'token expired')
        await rig.pass(60_000)
        const attempts = rig.server.attempts.length - length
        if (attempts) return 'retries'
      },
    },
  ],
}
