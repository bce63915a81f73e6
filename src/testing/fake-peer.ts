import type { FakeConnection } from './fake-connection.js'
import { byteLength, isBlob, toMessage } from './messages.js'
import type { Direction, FakePeer } from './types.js'

export const STATES = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'] as const

/** The data of a `message` event. */
const payloadOf = (message: string | Uint8Array, binaryType: BinaryType): unknown => {
  if (typeof message === 'string') return message
  return binaryType === 'blob' ? new Blob([message as BlobPart]) : message.buffer
}

/** The server's end of a connection: the calls of the test script, each checked against the current state. */
export const createPeer = (
  connection: FakeConnection,
  protocols: readonly string[] | undefined,
): FakePeer => {
  const { socket, offered, frozen, received, unsent } = connection

  const assertPossible = (isPossible: boolean, call: string, why: string) => {
    if (!isPossible) throw new Error(`${call}: ${why}; the page's socket is ${STATES[connection.readyState]}`)
  }

  const answer = (call: string) => {
    assertPossible(!connection.isAnswered, call, 'the handshake is over')
    connection.isAnswered = true
    if (!connection.readyState) connection.cancel()
  }

  const requireOpen = (call: string) => {
    assertPossible(
      connection.hasOpened,
      call,
      'there is no connection: advance fake timers by 0 ms, or accept() the handshake',
    )
    assertPossible(connection.readyState < 3, call, 'the connection has ended')
    assertPossible(!connection.hasPeerSentCloseFrame, call, 'the peer has sent its close frame')
    connection.beginTask()
  }

  const setFrozen = (direction: Direction, isFrozen: boolean) => {
    connection.beginTask()
    if (direction !== 'down') frozen.up = isFrozen
    if (direction !== 'up') frozen.down = isFrozen
  }

  const peer: FakePeer = {
    socket,
    protocols: offered,
    received,
    unsent,
    get closed() {
      return connection.closed
    },

    accept(protocol) {
      const selected = protocol ?? offered.find(name => !protocols || protocols.includes(name)) ?? ''
      assertPossible(
        !selected || offered.includes(selected),
        'accept()',
        `the page does not offer '${selected}'`,
      )
      answer('accept()')
      connection.deliver(() => {
        if (connection.readyState) return
        // https://websockets.spec.whatwg.org/#concept-websocket-establish
        if (offered.length && !selected) connection.cut()
        else connection.open(selected)
      })
      return peer
    },

    refuse() {
      answer('refuse()')
      connection.deliver(() => !connection.readyState && connection.cut())
      return peer
    },

    send(data) {
      const message = toMessage(data)
      requireOpen('send()')
      if (isBlob(message)) throw new TypeError('send(): a Blob cannot be read synchronously, send its bytes')
      connection.deliver(() => {
        // https://websockets.spec.whatwg.org/#feedback-from-the-protocol
        if (connection.readyState !== 1) return
        const payload = payloadOf(message, socket.binaryType)
        connection.fire(new MessageEvent('message', { data: payload, origin: connection.origin }))
      })
      return peer
    },

    close(code, reason = '') {
      const frame = { code: code ?? 1005, reason }
      assertPossible(frame.code !== 1006, 'close(1006)', 'no frame has this code, drop() the connection')
      const hasRoom = byteLength(reason) < (code ? 124 : 1)
      assertPossible(hasRoom, 'close()', 'a reason needs a code, and has at most 123 bytes')
      requireOpen('close()')
      connection.sendPeerCloseFrame(frame)
      connection.advanceClosing()
      return peer
    },

    drop() {
      assertPossible(connection.readyState < 3, 'drop()', 'the connection has ended')
      connection.cut()
      return peer
    },

    freeze(direction = 'both') {
      setFrozen(direction, true)
      return peer
    },

    thaw(direction = 'both') {
      setFrozen(direction, false)
      if (!frozen.up && connection.readyState < 3) connection.transmit(connection.buffered)
      while (connection.heldBack.length && !frozen.down) connection.heldBack.shift()?.()
      connection.advanceClosing()
      return peer
    },

    drain(bytes = connection.buffered) {
      const { buffered } = connection
      const isThere = bytes >= 0 && bytes <= buffered
      assertPossible(isThere, `drain(${bytes})`, `the page has ${buffered} bytes on a frozen connection`)
      connection.beginTask()
      connection.transmit(bytes)
      return peer
    },
  }
  return peer
}
