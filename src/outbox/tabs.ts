/** What a tab tells the others. */
export type TabMessage =
  /** There are new messages in the storage. */
  | { readonly kind: 'added' }
  /** A message has its outcome. */
  | { readonly kind: 'outcome'; readonly id: string; readonly outcome: any }
  /** A message was cancelled. */
  | { readonly kind: 'withdrawn'; readonly id: string }
  /** All messages were deleted. */
  | { readonly kind: 'cleared' }

export interface TabsListener {
  onMessage(news: TabMessage): void
  /** It is this tab's turn to send messages, until the signal is aborted. */
  onLock(signal: AbortSignal): void
  /** The page is back from the back/forward cache, or from being frozen: it may have missed what other tabs posted. */
  onReturn(): void
  /** There are no locks: it is every tab's turn. */
  onUnlocked(): void
}

/** Connects the tabs that share a storage, of which one at a time sends messages. */
export interface Tabs {
  /** Whether the tabs take turns. If not, each tab sends its own messages. */
  readonly hasLocks: boolean
  post(news: TabMessage): void
  /** Joins the other tabs, until `stop()`. */
  start(): void
  stop(): void
  /** Calls a function unless another tab has the turn. No other tab gets the turn during the call. */
  ifFree(job: () => void): unknown
  /** Requests the turn, or gives it up. A page that is frozen or in the back/forward cache never has it. */
  want(isWanted: boolean): void
}

export const createTabs = (name: string, { onMessage, onLock, onReturn, onUnlocked }: TabsListener): Tabs => {
  const scope = globalThis as unknown as Partial<Window>
  let locks: LockManager | undefined = scope.navigator?.locks
  if (!globalThis.BroadcastChannel) locks = undefined
  let channel: BroadcastChannel | undefined
  let turn: AbortController | undefined
  let isWanted = false
  /** Aborted by `stop()`. */
  let life: AbortController | undefined
  /** Whether the page is frozen, or in the back/forward cache. */
  let isAway = false

  const update = () => {
    if (!isWanted || isAway || !life) {
      turn?.abort()
      turn = undefined
      return
    }
    if (turn) return
    const mine = new AbortController()
    turn = mine
    const { signal } = mine
    if (!locks) return onLock(signal)
    locks
      .request(name, { signal }, () => {
        if (signal.aborted) return undefined
        onLock(signal)
        return new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()))
      })
      .catch(error => {
        if (signal.aborted) return
        // For example, because the page has an opaque origin.
        locks = undefined
        onUnlocked()
        if (turn === mine && error) onLock(signal)
      })
  }

  const openChannel = () => {
    if (!locks || channel || isAway) return
    channel = new BroadcastChannel(name)
    channel.onmessage = ({ data }) => onMessage(data)
  }

  const closeChannel = () => {
    channel?.close()
    channel = undefined
  }

  const leave = () => {
    isAway = true
    update()
    // An open channel can keep a page out of the back/forward cache, and buffers messages while the page is in it.
    closeChannel()
  }

  const comeBack = () => {
    if (!isAway) return
    isAway = false
    openChannel()
    onReturn()
    update()
  }

  return {
    get hasLocks() {
      return !!locks
    },
    post(news) {
      channel?.postMessage(news)
    },
    start() {
      if (life) return
      life = new AbortController()
      const { signal } = life
      // In a microtask, because the listener may be added after the socket is created.
      if (!locks) Promise.resolve().then(onUnlocked)
      openChannel()
      scope.addEventListener?.('pagehide', leave, { signal })
      scope.addEventListener?.('pageshow', comeBack, { signal })
      // https://wicg.github.io/page-lifecycle/
      scope.document?.addEventListener('freeze', leave, { signal })
      scope.document?.addEventListener('resume', comeBack, { signal })
    },
    stop() {
      life?.abort()
      life = undefined
      update()
      closeChannel()
    },
    ifFree: job =>
      locks ? locks.request(name, { ifAvailable: true }, lock => lock && job()).catch(() => {}) : job(),
    want(wanted) {
      isWanted = wanted
      update()
    },
  }
}
