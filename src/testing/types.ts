/** A message as the peer received it: well-formed text, a copy of the bytes, or the Blob itself, because a Blob cannot be read synchronously. */
export type FakeMessage = string | Uint8Array | Blob

/** `up` is from the page to the peer, `down` from the peer to the page. */
export type Direction = 'up' | 'down' | 'both'

/** A close frame. The code is 1005 for a frame without a code, and 1006 if there was no frame. */
// https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
export interface CloseFrame {
  /** The code. A fake peer may send codes that a page cannot. */
  readonly code: number
  /** The reason; `''` if there is none. */
  readonly reason: string
}

/**
 * The server's end of a connection or of an attempt. Each call takes effect before it returns, including the page's events, as if a task
 * of the network had run: no timer has to pass. A call that is impossible in the current state, such as `send()` before `accept()`, throws an
 * `Error` that says so.
 */
export interface FakePeer {
  /** The page's end. */
  readonly socket: WebSocket
  /** The subprotocols that the page offers. */
  readonly protocols: readonly string[]
  /** The messages that have arrived from the page, in order. A message arrives with its last byte. */
  readonly received: readonly FakeMessage[]
  /** The messages that the page has sent and that have not arrived, in order: while the connection is frozen, none arrive. */
  readonly unsent: readonly FakeMessage[]
  /** How the connection ended for the server: the page's close frame, or 1006. Undefined before. */
  readonly closed: CloseFrame | undefined
  /**
   * Answers the handshake. Default for the subprotocol: the first of the page's that the server supports; `''` selects none, which fails an
   * attempt that offers any. Has no effect if the page has given up in the meantime.
   */
  accept(protocol?: string): this
  /** Fails the handshake. The page gets `error`, then `close` with 1006, without the reason. */
  refuse(): this
  /** Sends a message. The page's `binaryType` decides in which form binary data arrives. */
  send(data: string | ArrayBuffer | ArrayBufferView): this
  /** Sends a close frame, with any code or none. The page answers it, and the connection ends cleanly. */
  close(code?: number, reason?: string): this
  /** Resets the connection or the attempt: the page gets `error`, then `close` with 1006. Nothing that is in flight arrives. */
  drop(): this
  /**
   * Makes the connection half-open: nothing passes, and neither end gets an event. `bufferedAmount` grows, and a closing handshake does
   * not finish. Whatever the peer sends waits for `thaw()`. Default: both directions.
   */
  freeze(direction?: Direction): this
  /** Lets everything pass again, beginning with what was held back, in order. Default: both directions. */
  thaw(direction?: Direction): this
  /**
   * Lets a frozen connection transmit a number of bytes that the page has sent. Default: all. Also works after the end, because Chromium can
   * update `bufferedAmount` late.
   */
  drain(bytes?: number): this
}

/** Options for the server's own behaviour. */
export interface FakeServerOptions {
  /** The subprotocols that the server supports. Default: all, so that it selects the page's first. */
  protocols?: readonly string[] | undefined
  /** The base of relative URLs. Default: the address of the document or worker; Node has none. */
  base?: string | URL | undefined
  /** Called in a task of its own for each message that arrives, so that the server can answer it. Default: none. */
  message?: ((data: FakeMessage, peer: FakePeer) => void) | undefined
}

/** A server and its network. It shares nothing with other fake servers. */
export interface FakeServer {
  /** The constructor for the code under test. Its sockets connect to this server, whatever their URL. */
  readonly WebSocket: typeof WebSocket
  /** A peer for each WebSocket that was created, oldest first, including those that have ended. */
  readonly connections: readonly FakePeer[]
  /** The newest peer. Throws an `Error` if there is none. */
  readonly latest: FakePeer
  /** The peers that are open. */
  readonly clients: readonly FakePeer[]
  /** The number of WebSockets that were created. */
  readonly attempts: number
  /** Accepts pending handshakes at once, and later ones each in the task after its `new WebSocket()`. The default. */
  accept(): void
  /** Refuses pending handshakes at once, and later ones each in the task after its `new WebSocket()`. */
  refuse(): void
  /** Leaves later handshakes pending, until `accept()` or `refuse()` of their peer or of the server is called. */
  hang(): void
}
