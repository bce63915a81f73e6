export type { Current, Source } from './frameworks/svelte.js'
export { useMessages, useOutage, useSend, useSocket, useSocketState } from './frameworks/svelte.js'
export type {
  AnySocket,
  Away,
  KeyedOptions,
  MessageOf,
  MessageSource,
  SharedOptions,
} from './frameworks/types.js'
