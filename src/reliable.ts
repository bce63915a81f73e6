export { type CreateReliableSocket, createReliableSocket, reliableSocketOver } from './reliable/socket.js'
export type {
  FrameFormat,
  Gap,
  Outbox,
  OutboxMessage,
  OutboxSocket,
  Outcome,
  PackedRequest,
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
