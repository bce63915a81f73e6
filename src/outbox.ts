export { createOutbox } from './outbox/create.js'
export { indexedDbOutbox } from './outbox/indexed-db-outbox.js'
export {
  type CallOutcome,
  type CallsLike,
  type CallsWithOutbox,
  type OverCallsOptions,
  overCalls,
} from './outbox/over-calls.js'
export { type OverSocketOptions, overSocket, type SocketWithOutbox } from './outbox/over-socket.js'
export type {
  IndexedDbOutboxOptions,
  OutboxEvents,
  OutboxLimits,
  OutboxOptions,
  OutboxProblem,
  OutboxRecord,
  OutboxStorage,
  PendingMessage,
  StoredOutbox,
} from './outbox/types.js'
