export type { Data } from './core/data.js'
export type { Listener, ListenOptions } from './core/emitter.js'
export { type CloseInfo, SocketError, type SocketErrorCode } from './core/errors.js'
export type { HeartbeatOptions } from './core/heartbeat.js'
export { pageWake, type Wake, type WakeNews } from './core/page.js'
export type { DropReason, QueueOptions, SendOptions } from './core/queue.js'
export { type BackoffOptions, backoff, type Retry, type RetryContext } from './core/retry.js'
export { createSocket } from './core/socket.js'
export type { State } from './core/states.js'
export type {
  AttemptContext,
  BinaryMessage,
  CloseEventData,
  Connection,
  Endpoint,
  OpenEventData,
  Socket,
  SocketEvents,
  SocketOptions,
  Stats,
} from './core/types.js'
