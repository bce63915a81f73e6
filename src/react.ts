export { useMessages, useOutage, useSend, useSocket, useSocketState } from './frameworks/react.js'
export type {
  AnySocket,
  Away,
  KeyedOptions,
  MessageOf,
  MessageSource,
  SharedOptions,
} from './frameworks/types.js'
