export { calls } from './calls/calls.js'
export { CallError, type CallErrorCode } from './calls/errors.js'
export { type JsonRpcOptions, jsonRpc } from './calls/json-rpc.js'
export type { CallProtocol, Incoming } from './calls/protocol.js'
export type { CallSchema, ContractEntry } from './calls/schema.js'
export type {
  Again,
  CallCodec,
  CallOptions,
  Calls,
  CallsEvents,
  CallsOptions,
  Contract,
  SocketSource,
  SubscribeOptions,
} from './calls/types.js'
