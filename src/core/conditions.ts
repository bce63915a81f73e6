import { copyData, type Data } from '../common/data.js'
import { watchExpiry } from '../common/expiry.js'
import type { DropReason, SendOptions } from './types.js'

/** A message sent with options. A message without options is stored as its data alone, which saves an object for each. */
export interface ConditionalMessage {
  /** Undefined once dropped. The place in the queue then stays empty. */
  data: Data | undefined
  readonly options: SendOptions
  readonly expires: number
  /** Stops watching the conditions. */
  unwatch?: () => void
}

/** A message as the queue stores it. */
export type Message = Data | ConditionalMessage

/** The queued messages that have a `key`. */
export type Keys = Map<unknown, ConditionalMessage>

/** The message outlives `send()`, and the caller may reuse its buffer. Volatile messages are never sent again. */
export const createMessage = (data: Data, options: SendOptions | undefined): Message => {
  const kept = options?.volatile ? data : copyData(data)
  return options ? { data: kept, options, expires: Date.now() + (options.ttl ?? Infinity) } : kept
}

export const conditionsOf = (message: Message | undefined): ConditionalMessage | undefined =>
  (message as ConditionalMessage | undefined)?.options && (message as ConditionalMessage)

/** The data of a message, unless the message was dropped. */
export const dataOf = (message: Message | undefined): Data | undefined =>
  conditionsOf(message) ? (message as ConditionalMessage).data : (message as Data | undefined)

/** Watches the conditions of a queued message. */
export const watch = (
  message: ConditionalMessage,
  keys: Keys,
  onFailed: (message: ConditionalMessage, reason: DropReason) => void,
): void => {
  const { key, signal } = message.options
  if (key !== undefined) keys.set(key, message)
  const unwatch = watchExpiry(message.expires - Date.now(), signal, reason => onFailed(message, reason))
  message.unwatch = () => {
    unwatch()
    if (keys.get(key) === message) keys.delete(key)
  }
}

/** Why a message that is reclaimed from a lost connection must be dropped. */
export const failedCondition = (
  { options: { volatile, signal, key }, expires }: ConditionalMessage,
  keys: Keys,
): DropReason | false | undefined =>
  (volatile && 'volatile') ||
  (signal?.aborted && 'aborted') ||
  (expires <= Date.now() && 'expired') ||
  (keys.has(key) && 'replaced')
