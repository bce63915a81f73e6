import { checkNumber, rejectUnknown } from '../common/checks.js'
import { guard } from '../common/report.js'
import { createTimer } from '../common/timers.js'
import type { Connector } from './connector.js'
import { SocketError } from './errors.js'
import { isLocal } from './network.js'
import { type Input, pageTable, type Table } from './states.js'

/**
 * `'wake'`: the page or the network came back. `'sleep'`: the page enters the back/forward cache, or is frozen. `'offline'`: the network is
 * unavailable. `'hidden'` and `'visible'`: only the page's visibility has changed.
 */
export type PageEvent = 'wake' | 'sleep' | 'offline' | 'hidden' | 'visible'

/**
 * Starts to report page events, and returns a function that stops the reports. Write one for platforms whose events differ from a browser's,
 * such as React Native.
 */
export type PageEventSource = (report: (event: PageEvent) => void) => () => void

/** Reports the events of the page and of the network. In a worker there are fewer of them. */
// https://html.spec.whatwg.org/multipage/document-lifecycle.html, https://wicg.github.io/page-lifecycle/
export const browserEvents: PageEventSource = report => {
  // A service worker has no such events, and Chromium warns about listeners that are added after its start.
  // In a page, an element with this id is a global, too.
  if (!globalThis.document && 'registration' in globalThis) return () => {}
  const sources: [unknown, string][] = [
    [globalThis, globalThis.document ? 'online pageshow offline pagehide' : 'online offline'],
    [globalThis.document, 'visibilitychange resume freeze'],
    [(globalThis.navigator as { connection?: unknown } | undefined)?.connection, 'change'],
  ]
  const onEvent = ({ type }: Event) => {
    if (type === 'visibilitychange') return report(isHidden() ? 'hidden' : 'visible')
    // A page with an open socket cannot enter the back/forward cache, or its connection is ended there without a close frame.
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

/** Options of `createBrowserEvents()`. */
export interface BrowserEventsOptions {
  /**
   * Close the connection of a page that has been hidden for this many milliseconds, and connect again when it is shown. Timers of hidden
   * pages can be up to a minute late. Default: `Infinity`, which keeps the connection.
   */
  hiddenFor?: number | undefined
}

/**
 * Creates a source like `browserEvents` that also closes the connections of hidden pages, so that tabs in the background do not use
 * connections of the server. Messages that are sent meanwhile are queued. Throws a `TypeError` for an option that does not exist, and unless
 * `hiddenFor` is a number, at least 0.
 *
 * ```ts
 * const socket = createSocket('/feed', { wake: createBrowserEvents({ hiddenFor: 300_000 }) })
 * ```
 */
export const createBrowserEvents = ({
  hiddenFor = Infinity,
  ...unknown
}: BrowserEventsOptions = {}): PageEventSource => {
  checkNumber('hiddenFor', hiddenFor)
  rejectUnknown('createBrowserEvents', unknown, 'hiddenFor')
  return report => {
    const setTimer = createTimer()
    let isAsleep = false
    const sleep = () => {
      // The timer can be so late that the page has been shown meanwhile.
      isAsleep = isHidden()
      if (isAsleep) report('sleep')
    }
    const onEvent = (event: PageEvent) => {
      if (event === 'hidden') setTimer(hiddenFor, sleep)
      if (event === 'visible') {
        isAsleep = false
        setTimer()
      }
      // A hidden page stays asleep when the network comes back.
      if (event !== 'wake' || !isAsleep) report(event)
    }
    if (isHidden()) setTimer(hiddenFor, sleep)
    const stop = browserEvents(onEvent)
    return () => {
      setTimer()
      stop()
    }
  }
}

/** Whether the browser believes that this address cannot be reached now. It is sometimes wrong. */
// https://html.spec.whatwg.org/multipage/system-state.html#navigator.online
export const isOffline = (url: string): boolean => globalThis.navigator?.onLine === false && !isLocal(url)

/** Whether the page is hidden, so that its timers are throttled to one a second or a minute. */
export const isHidden = (): boolean => globalThis.document?.visibilityState === 'hidden'

/** Makes a socket follow page events for as long as it is not closed. */
export interface PageWatch {
  /**
   * The delay before the next attempt: longer while the browser reports that there is no network, and short after a connection was lost
   * within seconds of a wake-up, because that loss affects this client only.
   */
  adjust(delay: number, cause?: SocketError): number
  stop(): void
}

/** The type of the part `pageEvents`. */
export type WatchPage = (
  source: PageEventSource | false | undefined,
  connector: Pick<Connector, 'url' | 'heartbeat' | 'onPageEvent'>,
  /** Passes an input through the table of states. */
  step: (input: Input, table: Table) => void,
  defer: (job: () => void) => void,
) => PageWatch

/** For this many milliseconds after a wake-up, the loss of a connection is attributed to the wake-up. */
const JUST_WOKEN = 3_000

/**
 * The part for the option `wake`: shortens and lengthens the waits between attempts, and closes the connection of a page that is frozen or enters
 * the back/forward cache.
 */
export const pageEvents: WatchPage = (source = browserEvents, connector, step, defer) => {
  // The browser can be wrong about the network, so there is an attempt every 30 s.
  const whileOffline = (delay: number) =>
    source && isOffline(connector.url()) ? Math.max(delay, 30_000) : delay
  let lastWake = -Infinity
  const onEvent = (type: PageEvent) =>
    defer(() => {
      if (type === 'hidden') return connector.onPageEvent?.(type)
      if (type === 'sleep') return step({ type, cause: new SocketError('PAGE_HIDDEN') }, pageTable)
      const isAsked = connector.heartbeat()?.probe()
      if (type === 'offline') return step({ type, now: Date.now(), delay: whileOffline(0) }, pageTable)
      lastWake = performance.now()
      connector.onPageEvent?.(type, isAsked, whileOffline)
      // Clients that wake up together spread their attempts.
      step({ type: 'wake', now: Date.now(), delay: whileOffline(Math.random() * 300) }, pageTable)
    })
  const stop = source && guard(source, onEvent)
  return {
    adjust(delay, cause) {
      // An attempt that fails is not the end of a connection: after it, the delays grow as usual.
      const isOwn =
        cause?.code === 'CONNECTION_LOST' &&
        cause.close?.code === 1006 &&
        performance.now() - lastWake < JUST_WOKEN
      return whileOffline(isOwn ? Math.min(delay, Math.random() * 300) : delay)
    },
    stop: () => stop && guard(stop),
  }
}
