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
} from './api.js'
export { type BackoffOptions, backoff, type Retry, type RetryContext } from './backoff.js'
export type { Data } from './data.js'
export type { Listener, ListenOptions } from './emitter.js'
export { type CloseInfo, SocketError, type SocketErrorCode } from './errors.js'
export type { HeartbeatOptions } from './heartbeat.js'
export type { State } from './machine.js'
export type { DropReason, QueueOptions, SendOptions } from './queue.js'
export { createSocket } from './socket.js'
export { pageWake, type Wake, type WakeNews } from './wake.js'
