import type {
  BackoffOptions,
  Data,
  Emitter,
  Endpoint,
  HeartbeatOptions,
  QueueOptions,
  Socket,
  SocketEvents,
  SocketOptions,
} from '../index.js'

/** The types of binary messages. */
export type BinaryType = 'arraybuffer' | 'blob'

/** The members of a `SharedWorker` that are used here. Declared here, because programs for workers do not include the DOM library. */
export interface SharedWorkerLike {
  /** Tells the worker which connection to hold. */
  readonly port: { start(): void; postMessage(message: unknown): void }
  /** The event is fired if the worker's script could not be loaded. */
  addEventListener(type: 'error', listener: () => void): void
}

/** The URL of a shared worker, or a function that creates it with the given `name`. */
export type TabsWorker = string | URL | ((name: string) => SharedWorkerLike)

/** A heartbeat that can be copied to the tab or worker that holds the connection. */
export interface TabsHeartbeatOptions extends Omit<HeartbeatOptions, 'message' | 'isReply'> {
  /** The message to send. Without it, the heartbeat only watches for silence. Default: none. */
  message?: Data | undefined
  /** Hides the replies from this tab's listeners. Default: hides nothing. */
  isReply?: HeartbeatOptions['isReply']
}

/** How many messages are kept for tabs that are frozen or in the back/forward cache. */
export interface TabsReplayOptions {
  /** The maximum number of messages. Default: 256. */
  maxMessages?: number | undefined
  /** The maximum size: bytes of binary data, and characters of text. Default: 1 MiB. */
  maxBytes?: number | undefined
}

/**
 * Options of `createTabsSocket()`. The options of `createSocket()` mean the same here, except for those that are listed below. All tabs that
 * share a connection should pass the same options: the options of the first tab are used, and a tab whose options differ gets a `conflict`
 * event.
 */
export interface TabsSocketOptions<Binary extends BinaryType = 'arraybuffer'>
  extends Omit<SocketOptions<Binary>, 'heartbeat' | 'handover' | 'retry' | 'wake'> {
  /**
   * Tabs of the same origin with the same `key` and `user` share a connection. Default: the endpoint. Required if the endpoint is a function.
   */
  key?: string | undefined
  /** The user who is signed in. Tabs of different users do not share a connection. Default: `''`. */
  user?: string | undefined
  /**
   * A shared worker that calls `serveTabs()`, and holds the connection. Without it, or if it cannot be started, one of the tabs holds the
   * connection. Default: none.
   */
  worker?: TabsWorker | undefined
  /** Only messages for which this returns true reach the listeners of this tab. Default: all messages. */
  filter?: ((data: any) => boolean) | undefined
  /** How many messages are kept for a tab that is frozen or in the back/forward cache. Default: 256 messages, 1 MiB. */
  replay?: TabsReplayOptions | undefined
  /** Detects dead connections. Its message must not be a function. Default: off. */
  heartbeat?: TabsHeartbeatOptions | undefined
  /** With `false`, the connection is not replaced while it is open. Default: `{}`. */
  handover?: { maxAge?: number | undefined; wake?: 'handover' | 'reconnect' | undefined } | false | undefined
  /** The options of `backoff()`, because a function cannot be copied to another tab. With `false`, there is no reconnection. Default: `{}`. */
  retry?: Omit<BackoffOptions, 'random'> | false | undefined
  /** Limits for messages of this tab that have not been sent. Default: 16 MiB. */
  queue?: Omit<QueueOptions, 'keepWhenClosed'> | undefined
}

/** Who holds the connection, and how many tabs share it. */
export interface Sharing {
  /**
   * `'worker'`: a shared worker. `'this tab'` and `'another tab'`: a tab. `'none'`: the platform has no `BroadcastChannel` or no Web Locks
   * (they need a secure context), so this tab has a connection of its own. `undefined`: not known yet.
   */
  readonly holder: 'worker' | 'this tab' | 'another tab' | 'none' | undefined
  /** The number of tabs that share the connection, including this one. 0 while the holder is not known. */
  readonly tabs: number
}

/** Messages that this tab missed while it was frozen or in the back/forward cache. */
export interface TabsGap {
  /** The number of messages that are missing. `undefined`: not known, because the holder of the connection has changed in the meantime. */
  readonly missed: number | undefined
  /** The number of messages after the gap that were kept. They follow this event. */
  readonly replayed: number
}

/** The events of a socket that is shared by tabs. */
export interface TabsEvents<Binary extends BinaryType = 'arraybuffer'> extends SocketEvents<Binary> {
  /** Messages are missing, because this tab was frozen or in the back/forward cache. */
  gap: TabsGap
  /** The holder of the connection, or the number of tabs, has changed. */
  sharing: Sharing
  /**
   * The names of options that differ from those of the tab whose options are used. `worker` means that a tab holds the connection, because the shared
   * worker could not be started, did not answer for five seconds, or belongs to another version of this package.
   */
  conflict: readonly string[]
}

/** A socket whose connection is shared by all tabs with the same `key` and `user`. Its methods do not depend on `this`. */
export interface TabsSocket<Binary extends BinaryType = 'arraybuffer'>
  extends Omit<Socket<Binary>, 'on' | 'once' | 'off'> {
  /** Adds a listener, as on every socket. */
  on: Emitter<TabsEvents<Binary>>['on']
  /** Like `on()`, for the next event only. */
  once: Emitter<TabsEvents<Binary>>['once']
  /** Removes a listener. */
  off: Emitter<TabsEvents<Binary>>['off']
  /** Who holds the connection, and how many tabs share it. */
  readonly sharing: Sharing
  /**
   * Resolves with true for the first call with this id in all tabs, and with false for every other call. The last 1,000 ids are remembered, even
   * after all tabs have been closed. Without IndexedDB, each tab remembers only its own ids.
   *
   * ```ts
   * if (document.hidden && (await socket.claim(message.id))) new Notification(message.title)
   * ```
   */
  claim(id: string): Promise<boolean>
  /**
   * Closes the connection, and the sockets of all tabs that share it, including tabs that are frozen or in the back/forward cache. Each of them
   * gets the state `closed`, and drops its queued messages. The arguments are those of `close()`.
   */
  signOut(code?: number, reason?: string): void
}

/** Options of `shareSession()`. */
export interface SharedSessionOptions extends Pick<TabsSocketOptions, 'user' | 'worker'> {
  /** Tabs of the same origin with the same `key` and `user` share a session. */
  key: string
}

/** Creates the socket of a reliable session that tabs share. */
export type CreateSessionSocket = (endpoint: Endpoint, options?: SocketOptions) => Socket
