import type { Client } from './client.js'

/** The window, or a replacement for it. */
export interface PageEvents {
  readonly addEventListener?: unknown
  readonly removeEventListener?: unknown
  readonly document?: unknown
}

/** Listens to the page for as long as the socket is not closed. */
export interface PageWatch {
  enter(): void
  leave(): void
  /** Closes the sockets of all tabs, including those that are away. */
  signOut(code: number | undefined, reason: string | undefined): void
}

/** From these, a tab that was away learns that another tab has signed out. */
const signOuts = (name: string) => {
  const key = `${name} signed out`
  return {
    last() {
      try {
        return Number(localStorage.getItem(key))
      } catch {
        return 0
      }
    },
    add() {
      try {
        localStorage.setItem(key, String(Date.now()))
      } catch {
        // Storage is denied, or full. Tabs that are not away get a message anyway.
      }
    },
  }
}

/**
 * Leaves the other tabs when the page is frozen, enters the back/forward cache, or is unloaded, and rejoins them when it is shown again. If a
 * page in the cache kept its locks, the other tabs would wait for it.
 */
// https://html.spec.whatwg.org/multipage/document-lifecycle.html, https://wicg.github.io/page-lifecycle/
export const watchPage = (name: string, client: Client, page: PageEvents): PageWatch => {
  const log = signOuts(name)
  let leftAt = 0
  const onEvent = ({ type, persisted = true }: Event & { persisted?: boolean }) => {
    // Another tab may have signed out: this socket stays closed until the application calls `connect()`.
    if (client.view.snapshot.state.name === 'closed') listen('removeEventListener')
    else if (type === 'pagehide' || type === 'freeze') {
      leftAt = Date.now()
      client.sleep(persisted)
    } else if (leftAt && log.last() >= leftAt) {
      listen('removeEventListener')
      client.close()
    } else client.enter()
  }
  const listen = (change: 'addEventListener' | 'removeEventListener') => {
    for (const type of ['pagehide', 'pageshow']) (page as Window)[change]?.(type, onEvent as () => void)
    for (const type of ['freeze', 'resume']) (page as Window).document?.[change](type, onEvent as () => void)
  }
  return {
    enter() {
      leftAt = 0
      listen('addEventListener')
      client.enter()
    },
    leave: () => listen('removeEventListener'),
    signOut(code, reason) {
      log.add()
      client.link.signOut(code, reason)
      listen('removeEventListener')
      client.close(code, reason, true)
    },
  }
}
