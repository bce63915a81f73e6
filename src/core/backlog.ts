import { byteLength, type Data } from '../common/data.js'
import {
  type ConditionalMessage,
  conditionsOf,
  dataOf,
  failedCondition,
  type Keys,
  type Message,
  watch,
} from './conditions.js'
import type { QueueCounts } from './queue.js'
import type { DropReason } from './types.js'

/**
 * All messages that the browser may not have sent, oldest first. Passing a message to the browser, or reclaiming it, moves a boundary and not
 * the message:
 *
 * ```
 *  … forgotten │ handed to the browser │ waiting │
 *              ^ oldest                ^ next    ^ end
 *  marks:        bytes written so far    own size
 * ```
 */
export type Backlog = readonly [
  /** The queued messages that have a `key`. */
  keys: Keys,
  /** Adds a message that was passed to the browser, while no message is queued. `written` counts all bytes so far, including its own. */
  addSent: (message: Message, written: number) => void,
  /** Adds a queued message. */
  addWaiting: (message: Message, size: number) => void,
  /** Removes the first queued message: sends it or, if it has expired, drops it. `send` returns the bytes written so far. */
  advance: (reason: DropReason, send?: (data: Data) => number) => void,
  /** Drops a queued message with conditions. */
  dropWaiting: (message: ConditionalMessage, reason: DropReason) => void,
  /** Forgets the messages that were sent up to this number of bytes. Returns whether any messages are left. */
  forget: (left: number) => boolean,
  /**
   * Queues all messages again that were passed to the browser, if their conditions still hold. `tooBig`: the server closed the connection
   * because of the size of a message, which can only be the oldest. If this happens twice in a row, the message is dropped.
   */
  reclaim: (tooBig: boolean) => void,
  /** The data of the queued messages, oldest first. */
  list: () => Data[],
]

export const createBacklog = (
  counts: QueueCounts,
  drop: (data: Data, reason: DropReason) => 'dropped',
): Backlog => {
  const messages: (Message | undefined)[] = []
  const marks: number[] = []
  const keys: Keys = new Map()
  let oldest = 0
  let next = 0
  let end = 0
  /** The oldest message, if the last connection on which it was sent was closed because of the size of a message. */
  let suspect: Data | undefined

  const startWaiting = (place: number, size: number) => {
    const conditional = conditionsOf(messages[place])
    marks[place] = size
    counts.queued++
    counts.queuedBytes += size
    if (conditional) watch(conditional, keys, dropWaiting)
  }

  const stopWaiting = (size: number, message: ConditionalMessage | undefined) => {
    counts.queued--
    counts.queuedBytes -= size
    message?.unwatch?.()
  }

  const dropWaiting = (message: ConditionalMessage, reason: DropReason) => {
    const data = message.data as Data
    message.data = undefined
    stopWaiting(byteLength(data), message)
    drop(data, reason)
  }

  /** Removes the empty places between the messages. */
  const compact = () => {
    let place = 0
    let sent = 0
    for (let i = oldest; i < end; i++) {
      if (dataOf(messages[i]) === undefined) continue
      if (i < next) sent++
      messages[place] = messages[i]
      marks[place++] = marks[i] as number
    }
    oldest = 0
    next = sent
    messages.length = marks.length = end = place
  }

  const addSent = (message: Message, written: number) => {
    messages[next] = message
    marks[next] = written
    end = ++next
  }

  const addWaiting = (message: Message, size: number) => {
    messages[end] = message
    startWaiting(end++, size)
  }

  const advance = (reason: DropReason, send?: (data: Data) => number) => {
    // Empty places are skipped.
    while (dataOf(messages[next]) === undefined) marks[next++] = 0
    const place = next++
    const conditional = conditionsOf(messages[place])
    const data = dataOf(messages[place]) as Data
    stopWaiting(marks[place] as number, conditional)
    // Its timer may be late: the process was suspended, or the page is hidden. A message without conditions never expires.
    if (send && !((conditional?.expires as number) < Date.now())) marks[place] = send(data)
    else {
      messages[place] = undefined
      marks[place] = 0
      drop(data, reason)
    }
  }

  const forget = (left: number) => {
    while (oldest < next && (marks[oldest] as number) <= left) messages[oldest++] = suspect = undefined
    const used = next - oldest + counts.queued
    if (!used) oldest = next = end = 0
    // With fewer empty places, compacting is not worth the time.
    if (messages.length > 1_024 + 2 * used) compact()
    return end > 0
  }

  const reclaim = (tooBig: boolean) => {
    for (let place = next - 1; place >= oldest; place--) {
      const data = dataOf(messages[place])
      if (data === undefined) continue
      const conditional = conditionsOf(messages[place])
      let reason = conditional && failedCondition(conditional, keys)
      if (tooBig && place === oldest) {
        if (data === suspect) reason = 'too-big'
        suspect = data
      }
      counts.reclaimed++
      if (reason) {
        messages[place] = undefined
        drop(data, reason)
      } else startWaiting(place, byteLength(data))
    }
    next = oldest
  }

  const list = () =>
    messages
      .slice(next)
      .map(dataOf)
      .filter(data => data !== undefined)

  return [keys, addSent, addWaiting, advance, dropWaiting, forget, reclaim, list]
}
