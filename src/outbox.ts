export { createOutbox } from './outbox/create.js'
export { indexedDbOutbox } from './outbox/indexed-db-outbox.js'
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
