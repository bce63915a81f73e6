export type {
  AnySocket,
  Away,
  KeyedOptions,
  MessageOf,
  MessageSource,
  SharedOptions,
} from './frameworks/types.js'
export { useMessages, useOutage, useSend, useSocket, useSocketState } from './frameworks/vue.js'
