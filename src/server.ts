export type { DataType } from './reliable/frames.js'
export type { ReliableServer, ServerStats, User } from './server/api.js'
export type { WebSocketLike } from './server/connection.js'
export type { LimitStep } from './server/flood.js'
export type { Payload } from './server/frames.js'
export { type MemoryStoreOptions, memoryStore } from './server/memory-store.js'
export type { WebSocketServerLike } from './server/node.js'
export type {
  Authorization,
  ClientMessage,
  LimitEvent,
  ReliableServerOptions,
  Session,
} from './server/options.js'
export type { Origins, RequestLike } from './server/origin.js'
export type { Limit, PerClient, Rate } from './server/rates.js'
export type {
  AnyRedisClient,
  IoRedisClient,
  IoRedisSubscriber,
  RedisClient,
  RedisClusterClient,
  RedisSentinelClient,
  RedisSubscriber,
} from './server/redis-client.js'
export type { Replicas } from './server/redis-runner.js'
export { type RedisStoreOptions, redisStore } from './server/redis-store.js'
export { createReliableServer } from './server/serve.js'
export type {
  BinaryFrame,
  Claim,
  CommitOutcome,
  Committed,
  Effect,
  Lease,
  Member,
  MessageKey,
  NewSession,
  Progress,
  Reservation,
  Store,
  StoredFrame,
  StoredMessage,
  StoreEvent,
  StoreLimits,
  StoreNode,
} from './server/store.js'
