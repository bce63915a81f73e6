import { guard } from './emitter.js'
import { SocketError } from './errors.js'
import type { Heartbeat } from './heartbeat.js'
import { type Input, pageTable, type Table } from './states.js'

/**
 * `'wake'`: the page or the network came back. `'sleep'`: the page is put into the back/forward cache, or frozen. `'offline'`: the
 * network is gone.
 */
export type PageEvent = 'wake' | 'sleep' | 'offline'

/**
 * Starts to report page events, and returns a function that stops it. Write one for platforms whose events differ from a browser's, such
 * as React Native.
 */
export type PageEventSource = (report: (event: PageEvent) => void) => () => void

/** How far apart clients are kept that wake up together, in milliseconds. */
const WAKE_SPREAD = 300

/** How often to try, in milliseconds, while the browser says that there is no network. It can be wrong. */
const OFFLINE_DELAY = 30_000

/** Reports the events of the page and of the network. In a worker there are fewer of them. */
// https://html.spec.whatwg.org/multipage/document-lifecycle.html, https://wicg.github.io/page-lifecycle/
export const browserEvents: PageEventSource = report => {
  const sources: [unknown, string][] = [
    [globalThis, 'online pageshow offline pagehide'],
    [globalThis.document, 'visibilitychange resume freeze'],
    [(globalThis.navigator as { connection?: unknown } | undefined)?.connection, 'change'],
  ]
  const onEvent = ({ type }: Event) => {
    if (type === 'visibilitychange' && isHidden()) return
    // An open socket costs the page its place in the back/forward cache, or is killed there without notice to the server.
    report(type === 'offline' ? type : type === 'pagehide' || type === 'freeze' ? 'sleep' : 'wake')
  }
  const all = (change: 'addEventListener' | 'removeEventListener') => {
    for (const [target, types] of sources) {
      for (const type of types.split(' ')) (target as EventTarget | undefined)?.[change]?.(type, onEvent)
    }
  }
  all('addEventListener')
  return () => all('removeEventListener')
}

/** Whether the browser believes that this address cannot be reached now. It is sometimes wrong. */
// https://html.spec.whatwg.org/multipage/system-state.html#navigator.online
export const isOffline = (url: string): boolean =>
  globalThis.navigator?.onLine === false && !/^\w+:\/\/(localhost|127(\.\d+){3}|\[::1\])[:/]/.test(url)

/** Whether the page is hidden, so that its timers are throttled to one a second or a minute. */
export const isHidden = (): boolean => globalThis.document?.visibilityState === 'hidden'

/** Makes a socket follow page events for as long as it is not closed. */
export interface PageWatch {
  /** The delay before the next attempt, longer while the browser says that there is no network. */
  whileOffline(delay: number): number
  stop(): void
}

/** The part for the option `wake`. */
export type WatchPage = (
  source: PageEventSource | undefined,
  url: () => string,
  /** Takes an input through the table of states. */
  step: (input: Input, table: Table) => void,
  defer: (job: () => void) => void,
  /** The heartbeat of the open connection, if there are both. */
  heartbeat: () => Heartbeat | undefined,
) => PageWatch

/** The part for the option `wake`: shortens and prolongs waits, and gives up the connection of a page that is put away. */
export const pageEvents: WatchPage = (source = browserEvents, url, step, defer, heartbeat) => {
  const whileOffline = (delay: number) => (isOffline(url()) ? Math.max(delay, OFFLINE_DELAY) : delay)
  const onEvent = (type: PageEvent) =>
    defer(() => {
      if (type === 'sleep') step({ type, cause: new SocketError('PAGE_HIDDEN') }, pageTable)
      else if (heartbeat()) heartbeat()?.probe()
      else {
        const delay = whileOffline(type === 'wake' ? Math.random() * WAKE_SPREAD : 0)
        step({ type, now: Date.now(), delay }, pageTable)
      }
    })
  const stop = guard(source, onEvent)
  return { whileOffline, stop: () => stop && guard(stop) }
}
