// A connection ends, and its token becomes invalid, only when it is certain that the client has the next token.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createReliableServer, type ReliableServer } from '../../src/server.ts'
import { FakeServer, type FakeSocket } from './fake.ts'

let wss: FakeServer
let server: ReliableServer
beforeEach(() => {
  wss = new FakeServer()
  server = createReliableServer(wss, { onMessage: ({ data }, session) => session.send(data) })
})
afterEach(() => server.close({ timeout: 0 }))

const back = ({ frames: [{ connectionId, reconnectionToken }] }: FakeSocket) =>
  `/?awps_connection_id=${connectionId}&awps_reconnection_token=${reconnectionToken}`

/** A session on its second connection, whose client answers no pings, with one older message that is sent again. */
const second = async () => {
  const first = await wss.connect()
  await server.send(first.frames[0].connectionId, 'old')
  await first.until(() => first.frames.length === 2)
  const next = await wss.connect(back(first), false)
  await next.until(() => next.frames.length === 2 && !next.isPaused)
  return { first, next }
}

/** Waits until the server has processed everything. */
const done = async (socket: FakeSocket) => {
  const { length } = socket.frames
  socket.say('{"type":"ping"}')
  await socket.until(() => socket.frames.length > length)
}

const welcome = async (url: string) => (await wss.connect(url)).frames[0].event === 'connected'

test('frames that may have been sent before connected arrived do not prove that the client has its new token', async () => {
  const { first, next } = await second()
  next.say('{"type":"event","event":"e","dataType":"text","data":"early","ackId":1}')
  await next.until(() => next.frames.some(({ type }) => type === 'ack'))
  // As soon as it is connected, the reference client repeats its last acknowledgement.
  next.say('{"type":"sequenceAck","sequenceId":1}')
  await done(next)
  expect(await welcome(back(first))).toBe(true)
})

test('the answer to a ping that was sent after connected proves that the client has its new token', async () => {
  const { first, next } = await second()
  next.emit('pong')
  await done(next)
  expect(await welcome(back(first))).toBe(false)
  expect(await welcome(back(next))).toBe(true)
})

test('acknowledging a message that was first sent after connected proves that the client has its new token', async () => {
  const { first, next } = await second()
  next.say('{"type":"event","event":"e","dataType":"text","data":"x","ackId":1}')
  await next.until(() => next.frames.some(({ sequenceId }) => sequenceId === 2))
  next.say('{"type":"sequenceAck","sequenceId":2}')
  await done(next)
  expect(await welcome(back(first))).toBe(false)
  expect(await welcome(back(next))).toBe(true)
})

test('resuming with the new token proves that the client has it', async () => {
  const { first, next } = await second()
  const third = await wss.connect(back(next), false)
  expect(await welcome(back(first))).toBe(false)
  expect(await welcome(back(third))).toBe(true)
})

test('a pong on a replaced connection proves nothing about the current one', async () => {
  const { first, next } = await second()
  const third = await wss.connect(back(next), false)
  next.emit('pong')
  await third.until(() => !third.isPaused)
  await done(third)
  // This connection was opened with the token of `next`. Its own token was not used yet.
  expect(await welcome(back(next))).toBe(true)
  expect(await welcome(back(first))).toBe(false)
})

test('nothing is read from a replaced connection, not even frames that had arrived', async () => {
  const { first, next } = await second()
  const event = (data: string) => `{"type":"event","event":"e","dataType":"text","data":"${data}","ackId":1}`
  first.emit('message', Buffer.from(event('past')), false)
  next.say(event('present'))
  await next.until(() => next.frames.some(({ data }) => data === 'present'))
  expect(next.frames.filter(({ type }) => type === 'message').map(({ data }) => data)).toEqual([
    'old',
    'present',
  ])
})
