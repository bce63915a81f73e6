import type { Functions } from './functions.js'
import type { Link } from './link.js'
import type { Envelope, HubMessage, Snapshot } from './protocol.js'
import type { SendQueue } from './send-queue.js'
import { createSessionFrames } from './session.js'
import type { View } from './view.js'

/** A tab's side of a reliable session that tabs share. */
export interface TabSession {
  /** Sends a frame, if there is a connection. */
  send(text: string): 'sent' | 'dropped'
  /** The text for this tab. `undefined`: it is for another tab. */
  read(text: string): string | undefined
  /** Calls `prepare` for a new connection, and then the given function. */
  prepare(snapshot: Snapshot, job: () => void): unknown
  /** Whether the message has to wait until `prepare` is done. It is received after that. */
  isWaiting(message: Envelope<HubMessage>): boolean
}

/** Creates the side of one tab. It is handed in, so that pages that share no session do not load it. */
export type CreateTabSession = (
  functions: Functions,
  view: View,
  sendQueue: SendQueue,
  link: Link,
  onMessage: (message: Envelope<HubMessage>) => void,
) => TabSession

export const createTabSession: CreateTabSession = (functions, view, sendQueue, link, onMessage) => {
  const frames = createSessionFrames(() => view.sharing.tabs < 2)
  const waiting: Envelope<HubMessage>[] = []
  let isPreparing = false

  const send = (text: string) => {
    const frame = frames.out(text)
    if (frame !== undefined) sendQueue.push(frame, frame.length, {})
  }
  return {
    send(text) {
      if (!view.isOpen || !link.epoch) return 'dropped'
      send(text)
      return 'sent'
    },
    read: frames.in,
    async prepare({ state, url, protocol, greeting }, job) {
      if (state.name !== 'open' || greeting === undefined) return job()
      isPreparing = true
      try {
        const receive = async () => frames.in(greeting)
        await functions.prepare?.({ url, protocol, signal: new AbortController().signal, send, receive })
        job()
      } catch (error) {
        link.post({ type: 'call', id: -1, method: 'reconnect', args: [`${error}`] })
      }
      isPreparing = false
      for (const message of waiting.splice(0)) onMessage(message)
    },
    isWaiting(message) {
      if (isPreparing) waiting.push(message)
      return isPreparing
    },
  }
}
