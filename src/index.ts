export type { Data } from './common/data.js'
export { createSocket } from './core/complete.js'
export { createEmitter, type Emitter, type Listener, type ListenOptions } from './core/emitter.js'
export { type CloseInfo, SocketError, type SocketErrorCode } from './core/errors.js'
export type { HandoverOptions } from './core/handover.js'
export type { HeartbeatOptions } from './core/heartbeat.js'
export { type Outage, type OutageOptions, type OutageSource, onOutage } from './core/outage.js'
export {
  type BrowserEventsOptions,
  browserEvents,
  createBrowserEvents,
  type PageEvent,
  type PageEventSource,
} from './core/page.js'
export { type BackoffOptions, backoff, type Retry, type RetryContext } from './core/retry.js'
export type { CreateSocket } from './core/socket.js'
export type { State } from './core/states.js'
export type {
  AttemptContext,
  BinaryMessage,
  CloseEventData,
  DropReason,
  Endpoint,
  OpenEventData,
  PreparedConnection,
  QueueOptions,
  SendOptions,
  Socket,
  SocketEvents,
  SocketOptions,
  Stats,
} from './core/types.js'
