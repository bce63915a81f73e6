/** The part of a `BroadcastChannel` that is used here. */
export interface Channel {
  postMessage(message: unknown): void
  onmessage: ((event: any) => any) | null
  close(): void
}

/** The channels and locks with which tabs share a connection. */
export interface Platform {
  /** Whether other tabs can use them, too. */
  readonly isShared: boolean
  open(name: string): Channel
  /**
   * Calls `hold` when the lock is free, and releases the lock when the returned function is called. If the lock has not been granted yet, that
   * function withdraws the request. Calls `onDenied` if the page may not use locks, for example because its origin is opaque.
   */
  lock(name: string, hold: () => void, mode?: 'shared', onDenied?: () => void): () => void
  /** The names of all locks that are held. */
  held(): Promise<readonly string[]>
}

// https://w3c.github.io/web-locks/#api-lock-manager-request
const requestLock: Platform['lock'] = (name, hold, mode, onDenied) => {
  const scope = new AbortController()
  let release: (() => void) | undefined
  navigator.locks
    .request(
      name,
      { mode: mode ?? 'exclusive', signal: scope.signal },
      () =>
        new Promise<void>(resolve => {
          release = resolve
          if (scope.signal.aborted) resolve()
          else hold()
        }),
    )
    // Otherwise, the request was withdrawn.
    .catch(error => {
      if (error.name === 'SecurityError') onDenied?.()
    })
  return () => {
    scope.abort()
    release?.()
  }
}

/** Channels and locks within this tab, for a platform without them. */
export const createLocalPlatform = (): Platform => {
  const channels = new Set<Channel>()
  const queues = new Map<string, (() => void)[]>()
  return {
    isShared: false,
    held: async () => [],
    open() {
      const channel: Channel = {
        onmessage: null,
        postMessage(data) {
          for (const other of channels)
            if (other !== channel) queueMicrotask(() => other.onmessage?.({ data }))
        },
        close: () => channels.delete(channel),
      }
      channels.add(channel)
      return channel
    },
    lock(name, hold) {
      const queue = queues.get(name) ?? []
      queues.set(name, queue)
      const request = () => queue[0] === request && hold()
      queue.push(request)
      if (queue.length === 1) queueMicrotask(request)
      return () => {
        const isHeld = queue[0] === request
        queue.splice(0, Infinity, ...queue.filter(other => other !== request))
        if (isHeld && queue[0]) queueMicrotask(queue[0])
      }
    },
  }
}

/** The browser's channels and locks, if it has both. Web Locks need a secure context. */
export const findPlatform = (): Platform =>
  globalThis.BroadcastChannel && globalThis.navigator?.locks
    ? {
        isShared: true,
        open: name => new BroadcastChannel(name),
        lock: requestLock,
        async held() {
          const { held = [] } = await navigator.locks.query()
          return held.map(({ name = '' }) => name)
        },
      }
    : createLocalPlatform()
