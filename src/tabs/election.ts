import { type Hub, startHub } from './hub.js'
import type { HubSettings } from './hub-socket.js'
import type { Platform } from './platform.js'
import { type Entry, HUB } from './protocol.js'
import type { TabsWorker } from './types.js'

/** If the worker does not answer for this many milliseconds, a tab may become the hub. */
const WORKER_TIMEOUT = 5_000

/** This tab's candidacy for the hub. */
export interface Candidacy {
  /** The hub, if it is in this tab. */
  readonly hub: Hub | undefined
  /**
   * A hub has answered. If it is in the worker, this tab waits until the worker ends, and then starts it again. Otherwise, the worker may be unusable,
   * and this tab waits until the other tab ends.
   */
  onHub(isWorker: boolean): void
  /** Withdraws the candidacy, and stops the hub if it is in this tab. `entries`: the messages of this tab. */
  stop(tab: string, entries: Iterable<Entry>): ReturnType<Hub['stop']> | undefined
}

/**
 * Makes sure that there is a hub: in the worker, or else in the tab that has the lock. `takeOrphans` returns the messages of tabs that ended
 * together with the previous hub. `onFallback` is called if the worker does not answer.
 */
export const runForHub = (
  name: string,
  platform: Platform,
  worker: TabsWorker | undefined,
  settings: HubSettings,
  tab: string,
  takeOrphans: () => Entry[],
  onFallback: () => void,
): Candidacy => {
  let hub: Hub | undefined
  let withdraw: (() => void) | undefined
  let unwatch: (() => void) | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let isStopped = false
  const lock = `${name} ${HUB}`

  const waitForLock = () => {
    withdraw = platform.lock(lock, () => {
      hub = startHub(name, tab, platform, settings)
      hub.adopt(takeOrphans())
    })
  }
  /** The worker cannot be used: its script is missing, the Content-Security-Policy forbids it, or it belongs to another version of this package. */
  const fallBack = () => {
    // The error of a worker can arrive after this tab has left.
    if (isStopped || withdraw) return
    onFallback()
    waitForLock()
  }
  const startWorker = () => {
    if (isStopped) return
    unwatch = undefined
    timer = setTimeout(fallBack, WORKER_TIMEOUT)
    try {
      const shared =
        typeof worker === 'function'
          ? worker(lock)
          : new SharedWorker(worker as string | URL, { name: lock, type: 'module' })
      shared.addEventListener('error', fallBack)
      shared.port.start()
      shared.port.postMessage({ name, hub: HUB })
    } catch {
      fallBack()
    }
  }

  if (worker && platform.isShared && globalThis.SharedWorker) startWorker()
  else waitForLock()

  return {
    get hub() {
      return hub
    },
    onHub(isWorker) {
      if (!isWorker) return
      clearTimeout(timer)
      // The worker has the lock. When this tab gets it, the worker has ended, and is started again.
      if (worker && !withdraw) {
        unwatch ??= platform.lock(
          lock,
          () => {
            unwatch?.()
            startWorker()
          },
          'shared',
        )
      }
    },
    stop(tab, entries) {
      isStopped = true
      clearTimeout(timer)
      const result = hub?.stop(tab, entries)
      withdraw?.()
      unwatch?.()
      return result
    },
  }
}
