// The limits and the internals of the Python recipe. reliable-pairs.test.ts tests it with clients.
import { connect } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { eventually } from '../support/eventually.ts'
import { byEffort } from '../support/run.ts'
import { hasPython, startRecipe } from './python.ts'
import { rawSpeech, speakRaw } from './raw-tcp.ts'
import { comeBack, dial, join, type Peer, PROTOCOL } from './server-rig.ts'

const RUNS = Number(process.env.RUNS ?? byEffort(100, 300, 20_000))

cleanUp()

const start = async (names: Record<string, unknown> = {}) => {
  const recipe = await startRecipe(0, names)
  cleanup(() => recipe.stop())
  return `${recipe.url}/`
}

const tell = (peer: Peer, ackId: number, event: string, data: unknown = null) => {
  peer.send({ type: 'event', event, dataType: 'json', data, ackId })
  return peer.ack(ackId)
}

const datas = ({ messages }: Peer) => messages.map(({ data }) => data)

describe.runIf(hasPython('websockets'))('the Python recipe', () => {
  test('the Python server accepts known pages and programs, and no other pages', async () => {
    const url = await start({ ORIGINS: [null, 'https://app.example.com'] })
    await join(url)
    await join(url, { origin: 'https://app.example.com' })
    const stranger = await dial(url, { origin: 'https://evil.example.com' })
    expect(await stranger.closed()).toEqual({ code: 1008, reason: 'this origin is not allowed' })
    expect(stranger.frames).toEqual([
      { type: 'system', event: 'disconnected', message: 'this origin is not allowed' },
    ])
    const both = await dial(url, {
      headers: { origin: ['https://app.example.com', 'https://evil.example.com'] },
    })
    // Refused by `websockets` itself.
    expect(both.end?.code).toBe(1006)
    // Neither has begun a session.
    const peer = await join(url)
    await tell(peer, 1, 'sessions')
    expect(datas(peer)).toEqual([3])
  })

  test('the Python server ends a session that has had no connection for too long, and no other', async () => {
    const url = await start({ KEEP: 0.3 })
    const visit = await comeBack(await join(url))
    const left = await join(url)
    left.socket.terminate()
    await eventually(async () => {
      await tell(visit, Date.now(), 'sessions')
      expect(visit.messages.at(-1).data).toBe(1)
    })
    expect((await (await dial(left.recovery)).closed()).code).toBe(1008)
    expect((await comeBack(visit)).id).toBe(visit.id)
  })

  test('the Python server ends the session of a client with too many unacknowledged messages or bytes', async () => {
    const url = await start({ MAX_UNACKED: 10, MAX_UNACKED_BYTES: 5_000 })
    const slow = await join(url)
    slow.send({ type: 'event', event: 'many', dataType: 'json', data: 11 })
    expect(await slow.closed()).toEqual({ code: 1008, reason: 'slow consumer' })
    expect(slow.frames.at(-1)).toMatchObject({ event: 'disconnected', message: 'slow consumer' })
    expect(slow.messages).toHaveLength(10)
    expect((await (await dial(slow.recovery)).closed()).code).toBe(1008)
    const large = await join(url)
    for (const ackId of [1, 2]) await tell(large, ackId, 'echo', 'x'.repeat(2_200))
    large.send({ type: 'sequenceAck', sequenceId: 1 })
    await tell(large, 3, 'echo', 'x'.repeat(2_200))
    await large.got(3)
    large.send({ type: 'event', event: 'echo', dataType: 'text', data: 'x'.repeat(2_200) })
    expect((await large.closed()).reason).toBe('slow consumer')
  })

  test('the Python server limits sessions, groups and remembered ackIds', async () => {
    const url = await start({ MAX_SESSIONS: 2, MAX_GROUPS: 1, MAX_HANDLED: 2 })
    const [peer] = [await join(url), await join(url)]
    expect((await (await dial(url)).closed()).code).toBe(1013)
    peer.send({ type: 'joinGroup', group: 'a', ackId: 1 })
    peer.send({ type: 'joinGroup', group: 'b', ackId: 2 })
    expect((await peer.ack(1)).success).toBe(true)
    expect((await peer.ack(2)).error.name).toBe('Forbidden')
    await tell(peer, 3, 'echo', 'x')
    const back = await comeBack(peer)
    expect((await tell(back, 3, 'echo', 'x')).error.name).toBe('Duplicate')
    back.send({ type: 'leaveGroup', group: 'a', ackId: 1 })
    expect((await back.ack(1)).success).toBe(true)
  })

  test('the Python server ends the session of a client whose message is too large', async () => {
    const url = await start({ MAX_MESSAGE: 1_000 })
    const peer = await join(url)
    peer.raw('x'.repeat(2_001))
    expect((await peer.closed()).code).toBe(1009)
    expect((await (await dial(peer.recovery)).closed()).code).toBe(1008)
  })

  test('the Python server ends the session of a client that sends a binary message', async () => {
    const peer = await join(await start())
    peer.raw(Buffer.from('{"type":"ping"}'))
    expect((await peer.closed()).code).toBe(1008)
  })

  test.each([
    '',
    '[]',
    '{',
    '{"type":{}}',
    '{"type":"event"}',
    '{"type":"event","event":"","data":1}',
    '{"type":"event","event":7,"data":1}',
    `{"type":"event","event":"${'x'.repeat(1_025)}","data":1}`,
    '{"type":"event","event":"echo"}',
    '{"type":"event","event":"echo","dataType":"text","data":1}',
    '{"type":"event","event":"echo","dataType":"html","data":"x"}',
    '{"type":"event","event":"echo","dataType":"binary","data":"no base64!"}',
    '{"type":"event","event":"echo","data":1,"ackId":true}',
    '{"type":"event","event":"echo","data":1,"ackId":9007199254740992}',
    '{"type":"event","event":"echo","data":NaN}',
    '{"type":"event","event":"echo","data":1e999}',
    '{"type":"sequenceAck"}',
    '['.repeat(100_000),
  ])('the Python server ends the session of a client that sends %.70s', async text => {
    const url = await start()
    const peer = await join(url)
    await tell(peer, 1, 'echo', 1)
    peer.raw(text)
    expect(await peer.closed()).toEqual({ code: 1008, reason: 'bad frame' })
    expect((await (await dial(peer.recovery)).closed()).code).toBe(1008)
    expect(peer.messages).toHaveLength(1)
  })

  test('the Python server refuses a token that is not text', async () => {
    const url = await start()
    const { id, recovery } = await join(url)
    const line = connect(Number(new URL(url).port), '127.0.0.1')
    cleanup(() => line.destroy())
    const key = 'dGhlIHNhbXBsZSBub25jZQ=='
    const head = [
      `GET //[?awps_connection_id=${id}&awps_reconnection_token=\xff HTTP/1.1`,
      'Host: x',
      'Connection: Upgrade',
      'Upgrade: websocket',
      `Sec-WebSocket-Key: ${key}`,
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Protocol: ${PROTOCOL}`,
    ]
    line.write(`${head.join('\r\n')}\r\n\r\n`, 'latin1')
    const answer = await new Promise<string>(resolve => {
      let said = ''
      // Newer versions refuse the handshake.
      line.on('close', () => resolve(said))
      line.on('data', data => {
        said += data
        if (/"(dis)?connected"/.test(said)) resolve(said)
      })
    })
    expect(answer).not.toContain('"connected"')
    expect((await join(recovery)).id).toBe(id)
  })

  test('the Python server requires the subprotocol', async () => {
    const url = await start()
    const peer = await dial(url, {}, [])
    // Version 14 and later refuse the handshake.
    expect([1002, 1006]).toContain((await peer.closed()).code)
  })

  test('the Python server does not repeat a request that has failed', async () => {
    const peer = await join(await start())
    expect((await tell(peer, 1, 'half')).error.name).toBe('InternalServerError')
    const back = await comeBack(peer)
    expect((await tell(back, 1, 'half')).error.name).toBe('InternalServerError')
    await tell(back, 2, 'echo', 'next')
    expect(datas(back)).toEqual(['half done', 'next'])
  })

  test('the Python server processes an event once if its client returns while it is being processed', async () => {
    const peer = await join(await start())
    // The handler finishes after the other event, which arrives on the next connection.
    peer.send({ type: 'event', event: 'wait', dataType: 'json', data: 'waited', ackId: 1 })
    peer.send({ type: 'event', event: 'echo', dataType: 'json', data: 'never read here', ackId: 2 })
    peer.socket.ping()
    await new Promise(resolve => peer.socket.once('pong', resolve))
    const back = await comeBack(peer)
    const other = await join(peer.recovery.split('?')[0] as string)
    back.send({ type: 'event', event: 'wait', dataType: 'json', data: 'waited', ackId: 1 })
    back.send({ type: 'event', event: 'echo', dataType: 'json', data: 'next', ackId: 2 })
    await tell(other, 1, 'release')
    expect((await back.ack(1)).error.name).toBe('Duplicate')
    expect((await back.ack(2)).success).toBe(true)
    expect(datas(back)).toEqual(['waited', 'next'])
  })

  test('the Python server refuses a message that is too large, and the session continues', async () => {
    const peer = await join(await start({ MAX_MESSAGE: 1_000 }))
    expect((await tell(peer, 1, 'echo', 'x'.repeat(1_200))).error.name).toBe('TooLarge')
    // The data is small enough when it is decoded from base64.
    const data = Buffer.alloc(990).toString('base64')
    peer.send({ type: 'event', event: 'echo', dataType: 'binary', data, ackId: 2 })
    expect((await peer.ack(2)).success).toBe(true)
    expect(datas(peer)).toEqual([data])
  })

  test('by default, clients of the Python server may neither join a group nor publish to it', async () => {
    const peer = await join(await start({ STRICT: true }))
    peer.send({ type: 'joinGroup', group: 'g', ackId: 1 })
    expect((await peer.ack(1)).error.name).toBe('Forbidden')
    peer.send({ type: 'sendToGroup', group: 'g', dataType: 'text', data: 'x', ackId: 2 })
    expect((await peer.ack(2)).error.name).toBe('Forbidden')
  })

  test('messages from clients of the Python server have an empty user id, and cannot pass for its own', async () => {
    const peer = await join(await start())
    peer.send({ type: 'joinGroup', group: 'g', ackId: 1 })
    peer.send({ type: 'sendToGroup', group: 'g', dataType: 'text', data: 'x', ackId: 2 })
    expect((await peer.got(1))[0]).toMatchObject({ from: 'group', group: 'g', fromUserId: '' })
    await tell(peer, 3, 'echo', 1)
    expect((await peer.got(2))[1]).not.toHaveProperty('fromUserId')
  })

  test('the Python server resumes a session by a subprotocol, so that no URL has the token', async () => {
    const url = await start()
    const peer = await join(url)
    expect(peer.frames[0].features).toEqual(['endSession', 'resumeProtocol'])
    const back = await dial(url, {}, [PROTOCOL, `resume.${peer.id}.${peer.token}`])
    expect((await back.get(({ event }) => event === 'connected')).connectionId).toBe(peer.id)
    expect(back.socket.protocol).toBe(PROTOCOL)
    const stranger = await dial(url, {}, [`resume.${peer.id}.wrong`, PROTOCOL])
    expect((await stranger.closed()).code).toBe(1008)
    expect(back.end).toBeUndefined()
  })

  test('the Python server ends a session when its client asks for it, after it has processed earlier requests', async () => {
    const url = await start()
    const peer = await join(url)
    const other = await join(url)
    peer.send({ type: 'event', event: 'echo', dataType: 'json', data: 'last', ackId: 1 })
    peer.send({ type: 'endSession' })
    expect((await peer.closed()).code).toBe(1000)
    expect(datas(peer)).toEqual(['last'])
    expect((await (await dial(peer.recovery)).closed()).code).toBe(1008)
    await tell(other, 1, 'sessions')
    expect(datas(other)).toEqual([1])
  })

  test('the Python server ends the session of a client that acknowledges what it never sent', async () => {
    const peer = await join(await start())
    expect(peer.frames[0].sequenceId).toBe(0)
    peer.send({ type: 'sequenceAck', sequenceId: 1 })
    expect((await peer.closed()).code).toBe(1008)
  })

  test('the Python server refuses an event whose handler takes too long', async () => {
    const peer = await join(await start({ HANDLER_TIMEOUT: 0.05 }))
    expect((await tell(peer, 1, 'wait')).error.name).toBe('Timeout')
    await tell(peer, 2, 'echo', 'next')
    expect(datas(peer)).toEqual(['next'])
  })

  test('the Python server slows down a client that sends too much, and notifies it', async () => {
    const peer = await join(await start({ MESSAGES_PER_SECOND: 50 }))
    const began = performance.now()
    for (let i = 1; i <= 150; i++)
      peer.send({ type: 'event', event: 'echo', dataType: 'json', data: i, ackId: i })
    await peer.ack(150)
    // 50 messages at once, and then 100 at 50 per second.
    expect(performance.now() - began).toBeGreaterThan(1_900)
    const { message } = await peer.get(({ event }) => event === 'limited')
    expect(message).toContain('50 messages per second')
    expect(datas(peer)).toHaveLength(150)
  })

  test(`the Python server survives any bytes before, during and after the handshake: ${RUNS} runs`, async () => {
    const url = await start()
    const neighbour = await join(url)
    await fc.assert(
      fc.asyncProperty(rawSpeech, speech => speakRaw(Number(new URL(url).port), speech)),
      { numRuns: RUNS },
    )
    await tell(neighbour, 1, 'echo', 'still here')
    expect(datas(neighbour)).toEqual(['still here'])
  })

  test('the Python server lets only members publish', async () => {
    const peer = await join(await start())
    peer.send({ type: 'sendToGroup', group: 'g', dataType: 'text', data: 'x', ackId: 1 })
    expect((await peer.ack(1)).error.name).toBe('Forbidden')
    peer.send({ type: 'nonsense', group: 'g', ackId: 2 })
    expect((await peer.ack(2)).error.name).toBe('BadRequest')
  })

  test('the Python server accepts the older token until the new one is known to have arrived', async () => {
    const url = await start()
    // This client does not answer pings, so the server cannot know whether it has read anything.
    const peer = await dial(url, { autoPong: false })
    await peer.get(({ event }) => event === 'connected')
    const silent = async () => {
      const next = await dial(peer.recovery, { autoPong: false })
      await next.get(({ event }) => event === 'connected')
      return next
    }
    const [first, second] = [await silent(), await silent()]
    expect((await first.closed()).code).toBe(1006)
    // The token of the first connection is not valid, because it is not the newest one, and was not confirmed.
    expect((await (await dial(first.recovery)).closed()).code).toBe(1008)
    expect(second.end).toBeUndefined()
    const last = await join(second.recovery)
    await tell(last, 1, 'echo', 1)
    expect((await (await dial(second.recovery)).closed()).code).toBe(1008)
  })
})
