// Many frames over raw TCP: whatever a client sends, in packets of any size, the server and its other clients are not affected.
import { connect } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readFrame } from '../../src/server/frames.ts'
import { audit, speech } from '../server/speech.ts'
import { cleanUp } from '../support/cleanup.ts'
import { eventually } from '../support/eventually.ts'
import { createRandom, type Random } from '../support/random.ts'
import { byEffort } from '../support/run.ts'
import { frame, handshake, RELIABLE } from './raw-tcp.ts'
import { join, startNode } from './server-rig.ts'

cleanUp()

const FRAMES = Number(process.env.FRAMES ?? byEffort(5_000, 20_000, 1_000_000))
const SEED = Number(process.env.SEED ?? 1)
const CONNECTIONS = 8
/** The number of frames on a connection before one that violates the protocol. */
const LENGTH = 300

const unhandled: unknown[] = []
const note = (error: unknown) => unhandled.push(error)
beforeAll(() => {
  process.on('uncaughtException', note)
  process.on('unhandledRejection', note)
})
afterAll(() => {
  process.off('uncaughtException', note)
  process.off('unhandledRejection', note)
})

const isReadable = (word: string | Uint8Array): boolean => {
  try {
    return typeof word === 'string' && !!readFrame(word)
  } catch {
    return false
  }
}

/** A message in one frame, or in several with a ping or a pong in between. */
const pieces = (random: Random, word: string | Uint8Array): Buffer[] => {
  const payload = Buffer.from(word as string)
  const opcode = typeof word === 'string' ? 1 : 2
  if (random.below(4) || payload.length < 2) return [frame({ opcode, payload })]
  const cut = 1 + random.below(payload.length - 1)
  return [
    frame({ opcode, fin: false, payload: payload.subarray(0, cut) }),
    ...(random.below(2) ? [frame({ opcode: random.of([9, 10]) as number })] : []),
    frame({ opcode: 0, payload: payload.subarray(cut) }),
  ]
}

/** A frame that the WebSocket standard forbids. */
const forbidden = (random: Random): Buffer =>
  random.of([
    frame({ reserved: 1 + random.below(7) }),
    frame({ opcode: 3 + random.below(5) }),
    frame({ masked: false }),
    frame({ opcode: 0 }),
    frame({ opcode: 8, payload: Buffer.from([3]) }),
    frame({ opcode: 9, fin: false }),
    frame({ length: 2 ** 31 }),
    frame({ payload: Buffer.from([0xc0, 0x80]) }),
  ]) as Buffer

/** Sends the bytes in pieces of random sizes, and resolves when the connection is closed. */
const send = async (port: number, random: Random, bytes: Buffer): Promise<void> => {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.resume()
  const closed = new Promise<void>(resolve => socket.once('close', () => resolve()))
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + random.below(2 ** random.below(18))
    parts.push(bytes.subarray(at, at + size))
    at += size
  }
  for (const part of parts)
    if (!socket.write(part)) await Promise.race([closed, new Promise(r => socket.once('drain', r))])
  if (random.below(4)) socket.end()
  else socket.resetAndDestroy()
  await closed
}

test(`the server survives ${FRAMES.toLocaleString('en')} frames of any kind over raw TCP`, async () => {
  let seen = 0
  const { port, url, server, errors } = await startNode({
    onMessage: audit,
    onJoin: () => true,
    onPublish: () => true,
    rates: false,
    sessionTimeout: 1_000,
    onFrame: () => void seen++,
  })
  const neighbour = await join(url)
  const words = fc.sample(speech, { numRuns: 2_000, seed: SEED }).flat()
  const good = words.filter(isReadable)
  const bad = words.filter(word => !isReadable(word))
  expect([good.length > 1_000, bad.length > 500]).toEqual([true, true])
  const random = createRandom(SEED)
  const talk = async () => {
    while (seen < FRAMES) {
      const parts = Array.from({ length: LENGTH }, () => pieces(random, random.of(good) as string)).flat()
      const last = random.below(2) ? [forbidden(random)] : pieces(random, random.of(bad) as string)
      await send(port, random, Buffer.concat([handshake(RELIABLE), ...parts, ...last]))
    }
  }
  let asked = 0
  const watch = async () => {
    while (seen < FRAMES) {
      neighbour.say('still there?', ++asked)
      expect((await neighbour.ack(asked)).success).toBe(true)
      neighbour.send({ type: 'sequenceAck', sequenceId: asked })
      neighbour.frames.length = neighbour.messages.length = 0
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }
  await Promise.all([watch(), ...Array.from({ length: CONNECTIONS }, talk)])
  expect(unhandled).toEqual([])
  expect(errors).toEqual([])
  expect(neighbour.end).toBeUndefined()
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  // All other sessions have ended.
  await eventually(() => expect(server.stats.connections).toBe(1), 10_000)
  await eventually(async () => expect(await server.members()).toHaveLength(1), 10_000)
}, 3_600_000)
