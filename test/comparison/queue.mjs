// What was sent before there was a connection, or when there was none any more.

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b)
const list = messages => messages.slice(0, 6).map(String).join(' ') || 'nothing'

/** Sends all, each with a word on what became of it. */
const sendAll = (client, messages) => {
  for (const message of messages) client.send(message)
}

export const queue = {
  subject: 'Queue',
  scenarios: [
    {
      id: 'queue-order',
      title: 'What is sent before `open` arrives once, in order',
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
      title: 'A buffer that is reused after `send()` goes out as it was',
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
      title: 'A buffer that is transferred after `send()` goes out whole',
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
      title: 'A `send()` in an `open` listener does not overtake what waits',
      needs: 'queues',
      async run(_, rig) {
        let client
        const hear = { open: () => client.send('last') }
        client = rig.connect(undefined, { hear })
        sendAll(client, ['1', '2'])
        await rig.pass(5_000)
        const { received } = rig.server
        if (!same(received, ['1', '2', 'last'])) return `arrived: ${list(received)}`
      },
    },
    {
      id: 'queue-unsendable',
      title: 'One thing that cannot be sent holds up nothing else, and nothing goes twice',
      why: 'https://webidl.spec.whatwg.org/#AllowShared',
      needs: 'queues',
      async run(_, rig) {
        const client = rig.connect()
        client.send('1')
        try {
          client.send(new Uint8Array(new SharedArrayBuffer(2)))
        } catch {
          // As the platform has it.
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
      title: 'An `open` listener that throws does not keep what waits from leaving',
      needs: 'queues',
      async run(_, rig) {
        const hear = {
          open() {
            throw new Error('a bug in a listener')
          },
        }
        const client = rig.connect(undefined, { hear })
        client.send('1')
        await rig.pass(20_000)
        const { received } = rig.server
        if (!same(received, ['1'])) return `arrived: ${list(received)}`
      },
    },
    {
      id: 'queue-unsent-tail',
      title: 'What a broken connection had not sent yet is sent on the next, or the caller is told',
      why: 'https://websockets.spec.whatwg.org/#dom-websocket-bufferedamount',
      needs: 'queues',
      async run(peer, rig) {
        // Of socket.io there is an option for delivery at least once.
        const client = await rig.steady(
          undefined,
          peer.protocol && { options: { retries: 10, ackTimeout: 10_000 } },
        )
        const told = new Set()
        client.socket.on?.('drop', ({ data }) => told.add(data.slice(0, 3)))
        rig.server.latest.freeze()
        const names = Array.from({ length: 40 }, (_, i) => `${100 + i}`)
        for (const name of names) client.send(name.padEnd(2 ** 18, '.'))
        await rig.settle()
        rig.server.latest.cut()
        await rig.pass(30_000)
        const got = rig.server.received.map(message => message.slice(0, 3))
        // The kernel's buffers hold some that were on their way, of which nobody can know.
        const late = names.slice(-8).filter(name => !got.includes(name) && !told.has(name))
        if (late.length) return 'lost in silence'
      },
    },
    {
      id: 'queue-never-twice',
      title: 'Nothing arrives twice over a reset in the middle of a stream',
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
        if (twice) return `${twice} messages twice`
      },
    },
    {
      id: 'queue-across-outage',
      title: 'What is sent during an outage arrives after it, in order',
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
      title: '200 messages before `open` all arrive, or the caller is told',
      needs: 'queues',
      async run(_, rig) {
        const client = rig.connect()
        let told = 0
        client.socket.on?.('drop', () => told++)
        for (let i = 0; i < 200; i++) client.send(`${i}`)
        await rig.pass(5_000)
        const lost = 200 - rig.server.received.length - told
        if (lost) return `${lost} lost in silence`
      },
    },
    {
      id: 'queue-many',
      title: 'A message among 100,000 that wait takes no more work than one among 10,000',
      needs: 'queues',
      async run(peer, rig) {
        if (peer.queueLimit) rig.skip('takes no more than a hundred')
        // Processor time, for each message: a third, for the code is warm by then, or four times as much.
        const work = async count => {
          const client = rig.connect()
          const { length } = rig.server.connections
          const { length: before } = rig.server.received
          for (let i = 0; i < count; i++) client.send('x')
          const { user } = process.cpuUsage()
          await rig.until(() => rig.server.connections.length > length)
          await rig.until(() => rig.server.received.length - before === count)
          if (rig.server.received.length - before !== count) throw new Error('do not arrive')
          return (process.cpuUsage().user - user) / count
        }
        await work(10_000)
        const few = await work(10_000)
        const many = await work(100_000)
        if (many > few * 1.5) return 'takes longer the more there are'
      },
    },
    {
      id: 'queue-bytes',
      title: '`bufferedAmount` of what waits is in bytes',
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
