/** What a source of wakefulness tells: the page or network came back, the page is put away, the network went. */
export type WakeNews = 'wake' | 'sleep' | 'offline'

/**
 * Starts telling when the page or network comes and goes, and returns how to stop. For platforms that tell it otherwise, such as
 * React Native.
 */
export type Wake = (tell: (news: WakeNews) => void) => () => void

/** Listens to the page's life and the network, as far as there is any of it here: in a worker there is less. */
// https://html.spec.whatwg.org/multipage/document-lifecycle.html, https://wicg.github.io/page-lifecycle/
export const pageWake: Wake = tell => {
  const sources: [unknown, string][] = [
    [globalThis, 'online pageshow offline pagehide'],
    [globalThis.document, 'visibilitychange resume freeze'],
    [(globalThis.navigator as { connection?: unknown } | undefined)?.connection, 'change'],
  ]
  const hear = ({ type }: Event) => {
    if (type === 'visibilitychange' && isHidden()) return
    // A socket costs the page its place in the back/forward cache, or is killed there without the server's knowing.
    tell(type === 'offline' ? type : /hide|freeze/.test(type) ? 'sleep' : 'wake')
  }
  const all = (change: 'addEventListener' | 'removeEventListener') => {
    for (const [target, types] of sources) {
      for (const type of types.split(' ')) (target as EventTarget | undefined)?.[change]?.(type, hear)
    }
  }
  all('addEventListener')
  return () => all('removeEventListener')
}

/** Whether the browser believes that this address cannot be reached now. It is sometimes wrong. */
// https://html.spec.whatwg.org/multipage/system-state.html#navigator.online
export const isOffline = (url: string): boolean =>
  globalThis.navigator?.onLine === false && !/^\w+:\/\/(localhost|127(\.\d+){3}|\[::1\])[:/]/.test(url)

/** Whether timers are throttled to one a second or a minute here. */
export const isHidden = (): boolean => globalThis.document?.visibilityState === 'hidden'
