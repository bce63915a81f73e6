import { onAbort } from '../common/abort.js'
import { checkNumber, rejectUnknown } from '../common/checks.js'
import { byteLength, copyData } from '../common/data.js'
import { backoff, createSocket, type Endpoint, type Socket, SocketError } from '../index.js'
import { claim } from './claim.js'
import { type Client, createClient } from './client.js'
import { type PageEvents, watchPage } from './page.js'
import { findPlatform, type Platform } from './platform.js'
import { type Config, nameOf, postable } from './protocol.js'
import { type CreateTabSession, createTabSession } from './tab-session.js'
import type {
  BinaryType,
  CreateSessionSocket,
  SharedSessionOptions,
  TabsReplayOptions,
  TabsSocket,
  TabsSocketOptions,
} from './types.js'

/** The options that are passed to the hub. Functions among them are replaced by true. */
const SHARED = [
  ...['protocols', 'prepare', 'binaryType', 'retry', 'minUptime', 'connectTimeout', 'closeTimeout'],
  ...['highWaterMark', 'heartbeat', 'handover', 'replay'],
]

/** All options, including those that stay in the tab. */
const OPTIONS = [
  ...SHARED,
  ...['key', 'user', 'worker', 'filter', 'queue', 'signal', 'autoConnect', 'WebSocket'],
]

/** The options for the hub. `true` stands for a function, which the hub has to call in a tab. */
const configOf = (endpoint: Endpoint, options: any, isSession: boolean): Config => {
  // The hub translates the frames of a session for each tab.
  if (isSession && !options.protocols()[0].startsWith('json')) {
    throw new TypeError('Tabs can only share sessions with JSON frames: omit the option frames')
  }
  const { isReply: _, ...heartbeat } = options.heartbeat ?? {}
  if (typeof heartbeat.message === 'function') throw new TypeError('heartbeat.message must not be a function')
  // The connection can be in another tab, to which no function can be copied.
  if ((typeof options.retry === 'function' && !isSession) || options.retry?.random)
    throw new TypeError('retry must be the options of backoff() without random, or false')
  const config: Config = {
    // A worker would resolve a relative URL against the URL of its script.
    endpoint: typeof endpoint === 'function' || new URL(endpoint, globalThis.document?.baseURI).href,
  }
  for (const name of SHARED) {
    const value = options[name]
    if (value !== undefined) config[name] = typeof value === 'function' ? true : value
  }
  if (options.heartbeat) config.heartbeat = heartbeat
  if (isSession) config.session = true
  return config
}

/** A socket that is closed from the start. It validates options and arguments in the same way as other sockets. */
const createChecker = (config: Config, options: any) => {
  const { filter, retry, heartbeat, queue, WebSocket } = options
  if (filter !== undefined && typeof filter !== 'function') throw new TypeError('filter must be a function')
  // The hub gets these, but a socket in a tab does not take them.
  const { endpoint, replay, retry: _, protocols: __, prepare: ___, session: ____, ...shared } = config
  const { maxMessages = 0, maxBytes = 0, ...unknown } = (replay ?? {}) as TabsReplayOptions
  rejectUnknown('replay', unknown, 'maxMessages and maxBytes')
  checkNumber('replay.maxMessages', maxMessages)
  checkNumber('replay.maxBytes', maxBytes)
  if (typeof retry !== 'function') backoff(retry || {})
  const aborted = new AbortController()
  aborted.abort()
  const { signal } = aborted
  return createSocket(String(endpoint), { ...shared, heartbeat, queue, WebSocket, signal })
}

const statsOf = ({ view, counts, sendQueue }: Client) => {
  const { attempts, connections, latency } = view.snapshot
  const { size: queued, bytes: queuedBytes } = sendQueue
  return { attempts, connections, latency, reclaimed: 0, ...counts, queued, queuedBytes }
}

/** Creates the socket of a tab, with these channels, locks and page events. */
export const createTabsSocketIn = <Binary extends BinaryType>(
  platform: Platform,
  page: PageEvents,
  endpoint: Endpoint,
  options: TabsSocketOptions<Binary>,
  createSession?: CreateTabSession,
): TabsSocket<Binary> => {
  for (const name in options) {
    if (!OPTIONS.includes(name))
      throw new TypeError(`createTabsSocket has no option '${name}', only ${OPTIONS.join(', ')}`)
  }
  const config = configOf(endpoint, options, !!createSession)
  const { key = config.endpoint, user = '', signal } = options
  if (typeof key !== 'string') throw new TypeError('An endpoint that is a function needs the option key')
  if (typeof user !== 'string') throw new TypeError('user must be a string')
  const checker = createChecker(config, options)

  const name = nameOf(key, user)
  const functions = { ...options, endpoint, isReply: options.heartbeat?.isReply }
  const client = createClient(name, platform, config, functions, options, createSession)
  const { view, sendQueue, link } = client
  const watch = watchPage(name, client, page)
  const connect = () => {
    checker.connect()
    if (signal?.aborted) return
    if (!link.isOpen) watch.enter()
    else client.call('connect')
  }
  const close = (code?: number, reason?: string) => {
    watch.leave()
    client.close(code, reason)
  }
  let unwatch: (() => void) | undefined
  view.emitter.on('state', ({ name }) => {
    unwatch?.()
    unwatch = signal && name !== 'closed' ? onAbort(signal, close) : undefined
  })

  const socket: TabsSocket<Binary> = {
    on: view.emitter.on,
    once: view.emitter.once,
    off: view.emitter.off,
    queuedMessages: sendQueue.list,
    send(data, how = {}) {
      checker.send(data, how)
      if (client.session) return client.session.send(data as string)
      if (!link.isOpen && (view.snapshot.state as { cause?: unknown }).cause)
        return sendQueue.reject(data, 'closed')
      return sendQueue.push(copyData(data), byteLength(data), how)
    },
    connect,
    reconnect(cause, code, reason) {
      checker.close(code, reason)
      if (!link.isOpen) connect()
      else client.call('reconnect', postable(cause), code, reason)
    },
    async handover(cause) {
      if (view.isOpen) return client.call('handover', postable(cause))
      connect()
      while (!view.isOpen) {
        if (view.snapshot.state.name === 'closed') throw new SocketError('CLOSED')
        await new Promise(resolve => view.emitter.once('state', resolve))
      }
    },
    close(code, reason) {
      checker.close(code, reason)
      close(code, reason)
    },
    signOut(code, reason) {
      checker.close(code, reason)
      watch.signOut(code, reason)
    },
    claim: id => claim(name, id),
    get state() {
      return view.snapshot.state
    },
    get sharing() {
      return view.sharing
    },
    get queued() {
      return sendQueue.size
    },
    get bufferedAmount() {
      return sendQueue.bytes
    },
    get latency() {
      return view.snapshot.latency
    },
    get url() {
      return view.snapshot.url
    },
    get protocol() {
      return view.snapshot.protocol
    },
    get stats() {
      return statsOf(client)
    },
  }
  if (signal?.aborted) client.close()
  else if (options.autoConnect !== false) connect()
  return socket
}

/**
 * Creates a socket that shares its connection with all tabs of the same origin that use the same endpoint. It has the methods and events of
 * `createSocket()`.
 *
 * ```ts
 * import { createTabsSocket } from 'steadysocket/tabs'
 *
 * const socket = createTabsSocket('wss://push.example.com/feed')
 * socket.on('text', text => show(text))
 * ```
 *
 * Throws a `TypeError` for invalid options, and for an endpoint function without the option `key`.
 */
export const createTabsSocket = <Binary extends BinaryType = 'arraybuffer'>(
  endpoint: Endpoint,
  options: TabsSocketOptions<Binary> = {},
): TabsSocket<Binary> => createTabsSocketIn(findPlatform(), globalThis, endpoint, options)

/** Makes the function that `shareSession()` returns, with these channels, locks and page events. */
export const shareSessionIn =
  (platform: Platform, page: PageEvents, { key, user, worker }: SharedSessionOptions): CreateSessionSocket =>
  (endpoint, { wake: _, queue: __, handover, ...options } = {}) => {
    const { maxAge, wake } = handover || {}
    const given: any = {
      ...options,
      ...{ key, user, worker, handover: handover === false ? false : { maxAge, wake } },
    }
    return createTabsSocketIn(platform, page, endpoint, given, createTabSession) as Socket
  }

/**
 * Makes a `createSocket` for `reliableSocketOver()`, whose reliable session is shared by all tabs of the same origin with the same `key` and
 * `user`. Each tab receives each message once, and gets the results of the messages that it sends. To the server, all tabs are one client.
 *
 * ```ts
 * import { reliableSocketOver } from 'steadysocket/reliable'
 * import { shareSession } from 'steadysocket/tabs'
 *
 * const createReliableSocket = reliableSocketOver(shareSession({ key: 'orders' }))
 * ```
 *
 * The options `saved`, `wake` and `queue` of the reliable socket have no effect on the shared connection.
 */
export const shareSession = (options: SharedSessionOptions): CreateSessionSocket =>
  shareSessionIn(findPlatform(), globalThis, options)
