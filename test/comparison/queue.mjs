// Messages that are sent without a connection.

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b)
const list = messages => messages.slice(0, 6).map(String).join(' ') || 'nothing'

/** Sends all messages. */
const sendAll = (client, messages) => {
  for (const message of messages) client.send(message)
}

export const queue = {
  subject: 'Queue',
  scenarios: [
    {
      id: 'queue-order',
      title: 'Messages that are sent before `open` arrive once and in order',
      needs: 'queues',
      async run(_, rig) {
        const client = rig.connect()
        sendAll(client, ['1', '2', '3'])
        await rig.pass(5_000)
        const { received } = rig.server
        if (!same(received, ['1', '2', '3'])) return `arrived: ${list(received)}`
      },
    },
    {
      id: 'queue-reused-buffer',
      title: 'A buffer that is changed after `send()` is sent with its original content',
      why: 'https://websockets.spec.whatwg.org/#dom-websocket-send',
      needs: 'queues',
      async run(_, rig) {
        const client = rig.connect()
        const bytes = new Uint8Array([1, 2, 3])
        client.send(bytes)
        bytes.fill(9)
        await rig.pass(5_000)
        const [first] = rig.server.received
        if (!first) return 'nothing arrived'
        if (!same([...Buffer.from(first)], [1, 2, 3])) return `arrived as ${[...Buffer.from(first)]}`
      },
    },
    {
      id: 'queue-transferred-buffer',
      title: 'A buffer that is transferred after `send()` is sent completely',
      why: 'https://websockets.spec.whatwg.org/#dom-websocket-send',
      needs: 'queues',
      async run(_, rig) {
        const client = rig.connect()
        const { buffer } = new Uint8Array([1, 2, 3])
        client.send(buffer)
        structuredClone(buffer, { transfer: [buffer] })
        await rig.pass(5_000)
        const [first] = rig.server.received
        if (!first) return 'nothing arrived'
        if (!same([...Buffer.from(first)], [1, 2, 3])) return `arrived with ${first.length} bytes`
      },
    },
    {
      id: 'queue-open-listener',
      title: 'A message that an `open` listener sends does not overtake queued messages',
      needs: 'queues',
      async run(_, rig) {
        let client
        const listeners = { open: () => client.send('last') }
        client = rig.connect(undefined, { listeners })
        sendAll(client, ['1', '2'])
        await rig.pass(5_000)
        const { received } = rig.server
        if (!same(received, ['1', '2', 'last'])) return `arrived: ${list(received)}`
      },
    },
    {
      id: 'queue-unsendable',
      title: 'Data that cannot be sent does not block other messages, and no message is sent twice',
      why: 'https://webidl.spec.whatwg.org/#AllowShared',
      needs: 'queues',
      async run(_, rig) {
        const client = rig.connect()
        client.send('1')
        try {
          client.send(new Uint8Array(new SharedArrayBuffer(2)))
        } catch {
          // `WebSocket` throws, too.
        }
        client.send('2')
        await rig.pass(20_000)
        rig.server.latest?.cut()
        await rig.pass(20_000)
        const received = rig.server.received.filter(message => typeof message === 'string')
        if (!same(received, ['1', '2'])) return `arrived: ${list(received)}`
      },
    },
    {
      id: 'queue-throwing-open',
      title: 'An `open` listener that throws does not prevent queued messages from being sent',
      needs: 'queues',
      async run(_, rig) {
        const listeners = {
          open() {
            throw new Error('a bug in a listener')
          },
        }
        const client = rig.connect(undefined, { listeners })
        client.send('1')
        await rig.pass(20_000)
        const { received } = rig.server
        if (!same(received, ['1'])) return `arrived: ${list(received)}`
      },
    },
    {
      id: 'queue-unsent-tail',
      title:
        'Messages that a lost connection had not sent are sent on the next one, or reported to the caller',
      why: 'https://websockets.spec.whatwg.org/#dom-websocket-bufferedamount',
      needs: 'queues',
      async run(peer, rig) {
        // socket.io has an option for delivery at least once.
        const client = await rig.steady(
          undefined,
          peer.protocol && { options: { retries: 10, ackTimeout: 10_000 } },
        )
        const reported = new Set()
        client.socket.on?.('drop', ({ data }) => reported.add(data.slice(0, 3)))
        rig.server.latest.freeze()
        const names = Array.from({ length: 40 }, (_, i) => `${100 + i}`)
        for (const name of names) client.send(name.padEnd(2 ** 18, '.'))
        await rig.settle()
        rig.server.latest.cut()
        await rig.pass(30_000)
        const arrived = rig.server.received.map(message => message.slice(0, 3))
        // The first messages may be lost in the buffers of the kernel, which no client can detect. Only the last ones are checked.
        const lost = names.slice(-8).filter(name => !arrived.includes(name) && !reported.has(name))
        if (lost.length) return 'lost without a report'
      },
    },
    {
      id: 'queue-never-twice',
      title: 'No message arrives twice after a reset in the middle of a stream',
      needs: 'reconnects',
      async run(peer, rig) {
        const client = await rig.steady()
        let next = 0
        for (let round = 0; round < 12; round++) {
          for (let i = 0; i < 20; i++) {
            try {
              client.send(`${next++}`)
            } catch {
              if (peer.queues) return 'send() throws during an outage'
            }
          }
          if (round % 4 === 2) rig.server.latest.cut()
          await rig.pass(2_000)
        }
        await rig.pass(30_000)
        const { received } = rig.server
        const twice = received.length - new Set(received).size
        if (twice) return `${twice} messages arrive twice`
      },
    },
    {
      id: 'queue-across-outage',
      title: 'Messages that are sent during an outage arrive after it, in order',
      needs: 'queues',
      async run(_, rig) {
        const client = await rig.steady()
        rig.server.mode = 'refuse'
        rig.server.latest.cut()
        await rig.pass(3_000)
        sendAll(client, ['1', '2', '3'])
        await rig.pass(20_000)
        rig.server.mode = 'accept'
        await rig.pass(30_000)
        const { received } = rig.server
        if (!same(received, ['1', '2', '3'])) return `arrived: ${list(received)}`
      },
    },
    {
      id: 'queue-two-hundred',
      title: 'All of 200 messages before `open` arrive, or are reported to the caller',
      needs: 'queues',
      async run(_, rig) {
        const client = rig.connect()
        let reported = 0
        client.socket.on?.('drop', () => reported++)
        for (let i = 0; i < 200; i++) client.send(`${i}`)
        await rig.pass(5_000)
        const lost = 200 - rig.server.received.length - reported
        if (lost) return `${lost} lost without a report`
      },
    },
    {
      id: 'queue-many',
      title: 'One of 100,000 queued messages takes no more processor time than one of 10,000',
      needs: 'queues',
      async run(peer, rig) {
        if (peer.queueLimit) rig.skip('queues at most a hundred')
        // Processor time per message. It is about a third in the longer run, because the engine has optimized the code, or four times as much if it is
        // quadratic.
        const measure = async count => {
          const client = rig.connect()
          const { length } = rig.server.connections
          const { length: before } = rig.server.received
          for (let i = 0; i < count; i++) client.send('x')
          const { user } = process.cpuUsage()
          await rig.until(() => rig.server.connections.length > length)
          await rig.until(() => rig.server.received.length - before === count)
          if (rig.server.received.length - before !== count) throw new Error('messages do not arrive')
          return (process.cpuUsage().user - user) / count
        }
        await measure(10_000)
        const few = await measure(10_000)
        const many = await measure(100_000)
        if (many > few * 1.5) return 'the time per message grows with the number of messages'
      },
    },
    {
      id: 'queue-bytes',
      title: '`bufferedAmount` includes queued messages, in bytes',
      why: 'https://websockets.spec.whatwg.org/#dom-websocket-bufferedamount',
      needs: 'queues',
      async run(_, rig) {
        rig.server.mode = 'hang'
        const client = rig.connect()
        await rig.settle()
        client.send('€€€')
        const { bufferedAmount } = client.socket
        if (bufferedAmount === undefined) rig.skip('has none')
        if (bufferedAmount !== 9) return `${bufferedAmount} for nine bytes`
      },
    },
  ],
}
