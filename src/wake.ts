/** What a source of wakefulness tells: the page or network came back, the page is put away, the network went. */
export type WakeNews = 'wake' | 'sleep' | 'offline'

/** Starts telling when the page or network comes and goes, and returns how to stop. */
export type Wake = (tell: (news: WakeNews) => void) => () => void

/** Listens to the page's life and the network, as far as there is any of it here: in a worker there is less. */
// https://html.spec.whatwg.org/multipage/document-lifecycle.html, https://wicg.github.io/page-lifecycle/
export const pageWake: Wake = tell => {
  const { document } = globalThis
  const { connection } = (globalThis.navigator ?? {}) as { connection?: EventTarget }
  const stops: (() => void)[] = []
  const listen = (target: EventTarget | undefined, types: string, news: WakeNews) => {
    const hear = ({ type }: Event) => {
      if (type !== 'visibilitychange' || !isHidden()) tell(news)
    }
    for (const type of types.split(' ')) {
      target?.addEventListener?.(type, hear)
      stops.push(() => target?.removeEventListener?.(type, hear))
    }
  }
  const page = globalThis as unknown as EventTarget
  listen(page, 'online pageshow', 'wake')
  listen(document, 'visibilitychange resume', 'wake')
  listen(connection, 'change', 'wake')
  // A socket costs the page its place in the back/forward cache, or is killed there without the server's knowing.
  listen(page, 'pagehide', 'sleep')
  listen(document, 'freeze', 'sleep')
  listen(page, 'offline', 'offline')
  return () => {
    for (const stop of stops) stop()
  }
}

/** Whether the browser believes that this address cannot be reached now. It is sometimes wrong. */
// https://html.spec.whatwg.org/multipage/system-state.html#navigator.online
export const isOffline = (url: string): boolean =>
  globalThis.navigator?.onLine === false && !/\/\/(localhost|127\.|\[::1)/.test(url)

/** Whether timers are throttled to one a second or a minute here. */
export const isHidden = (): boolean => globalThis.document?.visibilityState === 'hidden'
