export { useMessages, useOutage, useSend, useSocket, useSocketState } from './frameworks/solid.js'
export type {
  AnySocket,
  Away,
  KeyedOptions,
  MaybeGetter,
  MessageOf,
  MessageSource,
  SharedOptions,
} from './frameworks/types.js'
