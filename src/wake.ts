/** What a source of wakefulness tells: the page or network came back, the page is put away, the network went. */
export type WakeNews = 'wake' | 'sleep' | 'offline'

/** Starts telling when the page or network comes and goes, and returns how to stop. */
export type Wake = (tell: (news: WakeNews) => void) => () => void

const NEWS: Record<string, WakeNews> = {
  online: 'wake',
  pageshow: 'wake',
  resume: 'wake',
  change: 'wake',
  offline: 'offline',
  // A socket kills the page's place in the back/forward cache, or is killed there without the server's knowing.
  pagehide: 'sleep',
  freeze: 'sleep',
}

/** Listens to the page's life and the network, as far as there is any of it here: in a worker there is less. */
// https://html.spec.whatwg.org/multipage/document-lifecycle.html, https://wicg.github.io/page-lifecycle/
export const pageWake: Wake = tell => {
  const { document } = globalThis
  const { connection } = (globalThis.navigator ?? {}) as { connection?: EventTarget }
  const hear = ({ type }: { type: string }) => {
    const news = type in NEWS ? NEWS[type] : document?.visibilityState === 'visible' && 'wake'
    if (news) tell(news)
  }
  const each = (what: 'addEventListener' | 'removeEventListener') => {
    const listen = (target: EventTarget | undefined, types: string) =>
      types.split(' ').map(type => target?.[what]?.(type, hear))
    listen(globalThis as unknown as EventTarget, 'online offline pageshow pagehide')
    listen(document, 'visibilitychange freeze resume')
    listen(connection, 'change')
  }
  each('addEventListener')
  return () => each('removeEventListener')
}

/** Whether the browser believes that this address cannot be reached now. It is sometimes wrong. */
// https://html.spec.whatwg.org/multipage/system-state.html#navigator.online
export const isOffline = (url: string): boolean =>
  globalThis.navigator?.onLine === false && !/\/\/(localhost|127\.|\[::1)/.test(url)

/** Whether timers are throttled to one a second or a minute here. */
export const isHidden = (): boolean => globalThis.document?.visibilityState === 'hidden'
