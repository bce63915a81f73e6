import type { WebSocketLike } from './connection.js'
import type { Connection } from './reading.js'

/** The state of a session on its node. */
export type SessionState =
  | { readonly name: 'connected'; readonly connection: Connection }
  /** The node keeps the session only as long as it processes a request, so that a repetition finds it. */
  | { readonly name: 'detached'; readonly since: number }
  /** The session is over, or another node holds it. Nothing more is read or written. The socket may still be closing. */
  | { readonly name: 'gone'; readonly socket: WebSocketLike | undefined }

/** How long a session is kept after its client has closed the connection with 1000. */
const LEFT_TIMEOUT = 10_000

/** How long a session is kept after its connection has ended with this code, in milliseconds. */
export const timeoutAfter = (code: number, sessionTimeout: number): number =>
  // A client that closes with 1000 is unlikely to come back. A page that is hidden or reloaded closes without a code.
  Math.min(sessionTimeout, code === 1000 ? LEFT_TIMEOUT : Infinity)
