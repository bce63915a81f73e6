import { type Candidacy, runForHub } from './election.js'
import type { HubSettings } from './hub-socket.js'
import { type Channel, createLocalPlatform, type Platform } from './platform.js'
import { type Entry, type Envelope, HUB, type HubMessage, TAB, TABS, type TabMessage } from './protocol.js'
import type { TabsWorker } from './types.js'
import type { View } from './view.js'

/** This tab's connection to the hub and the other tabs. */
export interface Link {
  /** The id of this tab. */
  readonly id: string
  readonly isShared: boolean
  /** Whether the tab has joined, or will join as soon as there is a hub. */
  readonly isOpen: boolean
  /** The epoch of the hub that has welcomed this tab. */
  epoch: string | undefined
  /** Returns false if no hub has welcomed this tab. */
  post(message: TabMessage): boolean
  /** Tells the hub and all tabs. */
  signOut(code: number | undefined, reason: string | undefined): void
  open(): void
  /**
   * Tells the hub that this tab leaves. `entries`: the messages that it may not have. The result is that of `hub.stop()`, if the hub was in this
   * tab.
   */
  close(entries: Iterable<Entry>): { sent: number; isTaken: boolean } | undefined
  onWelcome(isWorker: boolean): void
  /** Takes the messages of tabs that ended together with the hub. */
  adopt(orphans: Entry[]): void
}

/** Connects this tab to the other tabs that use the same name. `join` is called when there may be a hub, `receive` for each message to this tab. */
export const createLink = (
  name: string,
  platform: Platform,
  worker: TabsWorker | undefined,
  settings: HubSettings,
  join: () => void,
  receive: (message: Envelope<HubMessage>) => void,
  emit: View['emitter']['emit'],
): Link => {
  const id = TAB + Math.random().toString(36).slice(2)
  let channel: Channel | undefined
  let candidacy: Candidacy | undefined
  let release: (() => void) | undefined
  let orphans: Entry[] = []

  const post = (message: TabMessage | HubMessage, to: string) =>
    channel?.postMessage({ ...message, from: id, to })

  const link: Link = {
    id,
    get isShared() {
      return platform.isShared
    },
    epoch: undefined,
    get isOpen() {
      return !!channel
    },
    post(message) {
      const isHeard = !!link.epoch || message.type === 'join'
      if (isHeard) post(message, HUB)
      return isHeard
    },
    signOut(code, reason) {
      candidacy?.hub?.signOut(code, reason)
      post({ type: 'signOut', code, reason }, '*')
    },
    open() {
      if (channel) return
      const opened = platform.open(name)
      channel = opened
      opened.onmessage = ({ data }) => {
        if (channel === opened && [id, TABS, '*'].includes(data.to)) receive(data)
      }
      // The hub waits for this lock, and so detects the end of this tab, even after a crash.
      release = platform.lock(
        `${name} ${id}`,
        () => {
          candidacy = runForHub(
            name,
            platform,
            worker,
            settings,
            id,
            () => orphans.splice(0),
            () => emit('conflict', ['worker']),
          )
          join()
        },
        undefined,
        () => {
          platform = createLocalPlatform()
          if (channel !== opened) return
          link.close([])
          link.open()
        },
      )
    },
    close(entries) {
      link.post({ type: 'leave' })
      const result = candidacy?.stop(id, entries)
      candidacy = undefined
      link.epoch = undefined
      channel?.close()
      channel = undefined
      release?.()
      return result
    },
    onWelcome(isWorker) {
      // The hub has adopted them.
      orphans = []
      candidacy?.onHub(isWorker)
    },
    adopt(given) {
      if (candidacy?.hub) candidacy.hub.adopt(given)
      else orphans = given
    },
  }
  return link
}
