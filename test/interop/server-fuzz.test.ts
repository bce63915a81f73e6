// Whatever a client sends over a real socket, the server answers or closes the connection, and other clients are not affected.
import type { Socket } from 'node:net'
import { constants, deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { audit, speech } from '../server/speech.ts'
import { cleanUp } from '../support/cleanup.ts'
import { dial, join, startNode } from './server-rig.ts'

cleanUp()

/** A message of a client that compresses each message independently. https://datatracker.ietf.org/doc/html/rfc7692#section-7.2.1 */
const compressed = (message: object): Buffer => {
  const data = deflateRawSync(JSON.stringify(message), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(
    0,
    -4,
  )
  // The last fragment, compressed, text; masked with zeros; the length in two bytes.
  const head = [0xc1, 0x80 | 126, data.length >> 8, data.length & 255, 0, 0, 0, 0]
  return Buffer.concat([Buffer.from(head), data])
}

describe('the server over a real socket', () => {
  test('and its other clients survive bytes and text of any kind: 500 runs', async () => {
    const { url, errors } = await startNode({ onMessage: audit, onJoin: () => true, onPublish: () => true })
    const neighbour = await join(url)
    let n = 0
    await fc.assert(
      fc.asyncProperty(speech, async words => {
        const peer = await join(url)
        for (const one of words) peer.raw(one)
        peer.raw('{"type":"ping"}')
        await peer.get(({ type }) => type === 'pong').catch(() => expect(peer.end?.code).toBe(1008))
        peer.socket.terminate()
        neighbour.say('still there?', ++n)
        expect((await neighbour.ack(n)).success).toBe(true)
        neighbour.send({ type: 'sequenceAck', sequenceId: n })
      }),
      { numRuns: 500 },
    )
    expect(errors).toEqual([])
  })

  test.each([
    [
      'an id that has lost digits',
      '{"type":"event","event":"e","dataType":"text","data":"x","ackId":9007199254740993}',
    ],
    ['an infinite id', '{"type":"sequenceAck","sequenceId":1e999}'],
    [
      'a name that changes prototypes',
      '{"type":"event","event":"e","dataType":"json","data":{"__proto__":{}},"ackId":1}',
    ],
    [
      'that name with an escape sequence',
      '{"type":"event","event":"e","dataType":"json","data":{"__pro\\u0074o__":{}},"ackId":1}',
    ],
    [
      'an abyss',
      `{"type":"event","event":"e","dataType":"json","data":${'['.repeat(50_000)}${']'.repeat(50_000)},"ackId":1}`,
    ],
    ['no JSON', 'hello'],
    ['no object', '[1]'],
    ['an unknown frame', '{"type":"inquire","invocationId":"1"}'],
    ['bytes', new Uint8Array([1, 2, 3])],
    ['a frame in bytes', new TextEncoder().encode('{"type":"ping"}')],
  ])('ends the session with a reason after %s', async (_, data) => {
    const { url, server, errors } = await startNode({ onMessage: audit })
    const peer = await join(url)
    peer.raw(data)
    const end = await peer.closed()
    expect(end.code).toBe(1008)
    expect(peer.frames.at(-1)).toMatchObject({ event: 'disconnected', message: end.reason })
    expect(server.stats.violations).toBe(1)
    expect((await (await dial(peer.recovery)).closed()).code).toBe(1008)
    expect(errors).toEqual([])
  })

  test('does not count brackets in a text as depth', async () => {
    const { url } = await startNode({ onMessage: ({ data }, session) => session.send(data) })
    const peer = await join(url)
    const texts = ['['.repeat(500), `"${'{'.repeat(500)}`, `\\"${'['.repeat(500)}\\`]
    for (const [i, text] of texts.entries()) peer.say(text, i)
    expect((await peer.got(3)).map(({ data }) => data)).toEqual(texts)
  })

  test('answers every invalid request with an ackId, and the session continues', async () => {
    const { url } = await startNode({ onMessage: audit, onJoin: () => true, onPublish: () => true })
    const peer = await join(url)
    const bad = [
      { type: 'event', dataType: 'text', data: 'x' },
      { type: 'event', event: 'x'.repeat(1_025), dataType: 'text', data: 'x' },
      { type: 'event', event: 'e', dataType: 'xml', data: 'x' },
      { type: 'event', event: 'e', dataType: 'text', data: 1 },
      { type: 'event', event: 'e', dataType: 'text' },
      { type: 'event', event: 'e', dataType: 'binary', data: '***' },
      { type: 'joinGroup', group: '' },
      { type: 'joinGroup', group: 7 },
      { type: 'sendToGroup', group: 'g', dataType: 'text', data: 'x', noEcho: 'yes' },
      { type: 'invoke' },
    ]
    for (const [i, frame] of bad.entries()) {
      peer.send({ ...frame, ackId: i })
      expect((await peer.ack(i)).error).toMatchObject({ name: 'BadRequest', message: expect.any(String) })
    }
    expect(peer.end).toBeUndefined()
  })

  test('closes the connection of a client whose message is over maxPayload', async () => {
    const { url } = await startNode({ onMessage: audit, maxMessageBytes: 1_000 })
    const other = await join(url)
    other.raw('x'.repeat(2 ** 22 + 1))
    expect((await other.closed()).code).toBe(1009)
  })

  test('buffers no more of a flood of compressed messages than of others, and keeps the session', async () => {
    const { url, errors } = await startNode(
      { onMessage: () => new Promise(() => {}) },
      { perMessageDeflate: true },
    )
    const peer = await join(url)
    // All messages are in one packet, because the server stops reading after the first packet that exceeds the limit.
    const frame = (ackId: number) =>
      compressed({ type: 'event', event: 'say', dataType: 'text', data: 'x'.repeat(2 ** 20 - 100), ackId })
    const { _socket: line } = peer.socket as unknown as { _socket: Socket }
    line.write(Buffer.concat(Array.from({ length: 64 }, (_, i) => frame(i))))
    expect(await peer.closed()).toEqual({ code: 1013, reason: 'retry-after=5' })
    expect((await join(peer.recovery)).id).toBe(peer.id)
    expect(errors).toEqual([])
  })
})
