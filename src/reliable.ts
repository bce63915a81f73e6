export { type CreateReliableSocket, createReliableSocket, reliableSocketOver } from './reliable/socket.js'
export type {
  Gap,
  Outbox,
  OutboxMessage,
  OutboxSocket,
  Outcome,
  ReliableDropReason,
  ReliableEvents,
  ReliableMessage,
  ReliableOptions,
  ReliableSendOptions,
  ReliableSocket,
  ReliableState,
  ReliableStats,
  SentMessage,
} from './reliable/types.js'
