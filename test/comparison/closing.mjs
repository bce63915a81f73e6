// Closing a socket, and the events of connections that end.

/** Returns what is wrong with the events of a connection that ended without a close frame. */
const findWrongEvent = ({ close, error }) => {
  if (!close.length && !error.length) return 'no event'
  for (const { code, wasClean } of close) {
    if (code !== undefined && code !== 1006) return `a close event with the code ${JSON.stringify(code)}`
    if (wasClean) return 'a close event with wasClean: true'
  }
}

export const closing = {
  subject: 'Closing',
  scenarios: [
    {
      id: 'close-waiting',
      title: '`close()` between two attempts ends reconnection',
      why: 'https://github.com/lukeed/sockette/issues/46',
      needs: 'reconnects',
      async run(_, rig) {
        const client = await rig.steady()
        rig.server.mode = 'refuse'
        rig.server.latest.cut()
        const { length } = rig.server.attempts
        await rig.until(() => rig.server.attempts.length >= length + 2)
        rig.server.mode = 'accept'
        client.close()
        await rig.pass(60_000)
        if (rig.server.open.length) return 'reconnects'
      },
    },
    {
      id: 'close-connecting',
      title: 'After `close()` while connecting, it never opens',
      async run(_, rig) {
        rig.server.mode = 'hang'
        const client = rig.connect()
        await rig.until(() => rig.server.attempts.length)
        client.close()
        await rig.pass(1_000)
        rig.server.mode = 'accept'
        rig.server.release()
        await rig.pass(60_000)
        if (rig.server.open.length) return 'opens'
      },
    },
    {
      id: 'close-at-once',
      title: 'After `close()` in the task in which it was created, it never opens',
      async run(_, rig) {
        const client = rig.connect()
        client.close()
        await rig.pass(60_000)
        if (rig.server.open.length) return 'opens'
      },
    },
    {
      id: 'close-1001',
      title: '`close(1001)` closes, or throws and changes nothing',
      why: 'https://websockets.spec.whatwg.org/#dom-websocket-close',
      needs: 'reconnects',
      async run(peer, rig) {
        if (peer.protocol) rig.skip('has no codes')
        const client = await rig.steady()
        let threw = false
        try {
          client.close(1001)
        } catch {
          threw = true
        }
        await rig.pass(10_000)
        if (!threw && rig.server.open.length) return 'neither: the connection stays open'
        if (!threw) return
        if (!rig.server.open.length) return 'throws, and closes'
        rig.server.latest.cut()
        if (!(await rig.until(() => rig.server.open.length))) return 'throws, and never reconnects again'
      },
    },
    {
      id: 'close-dead-peer',
      title: '`close()` with a dead peer takes at most ten seconds',
      async run(_, rig) {
        const client = await rig.steady()
        rig.server.latest.freeze()
        client.close()
        await rig.pass(10_000)
        const { close } = client.events
        if (!close.length && client.state() !== 'closed') return 'still waits'
      },
    },
    {
      id: 'close-after-send',
      title: 'Messages that are sent before `close()` arrive',
      why: 'https://websockets.spec.whatwg.org/#dom-websocket-close',
      async run(_, rig) {
        const client = await rig.steady()
        for (let i = 0; i < 50; i++) client.send(`${i}`)
        client.close()
        await rig.pass(60_000)
        if (rig.server.received.length !== 50) return 'some are lost'
        if (rig.server.open.length) return 'stays open'
      },
    },
    {
      id: 'close-refused-event',
      title: 'A refused connection is reported, and not as a clean close',
      why: 'https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5',
      async run(_, rig) {
        rig.server.mode = 'refuse'
        const client = rig.connect()
        await rig.pass(3_000)
        return findWrongEvent(client.events)
      },
    },
    {
      id: 'close-timeout-event',
      title: 'An attempt that timed out is reported, and not as a clean close',
      why: 'https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5',
      needs: 'reconnects',
      async run(_, rig) {
        rig.server.mode = 'hang'
        const client = rig.connect()
        if (!(await rig.until(() => rig.server.attempts.length > 1))) rig.skip('has no timeout')
        return findWrongEvent(client.events)
      },
    },
    {
      id: 'close-lost-event',
      title: 'A lost connection causes one `close` event with 1006, which is not clean',
      why: 'https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5',
      async run(peer, rig) {
        const client = await rig.steady()
        rig.server.latest.cut()
        await rig.settle()
        if (peer.protocol) rig.skip('has no codes')
        const { close } = client.events
        if (close.length !== 1) return `${close.length} close events`
        return findWrongEvent(client.events)
      },
    },
    {
      id: 'close-server-code',
      title: 'The server’s close code and reason are reported',
      async run(peer, rig) {
        if (peer.protocol) rig.skip('has no codes')
        const client = await rig.steady()
        rig.server.latest.close(4000, 'bye')
        await rig.settle()
        const [{ code, reason } = {}] = client.events.close
        if (code !== 4000 || reason !== 'bye') return `reports ${code} ${reason}`
      },
    },
  ],
}
