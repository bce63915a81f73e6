import {
  backoff,
  type CreateSocket,
  createSocket as createDefault,
  type PreparedConnection,
  type Retry,
  type RetryContext,
  type Socket,
  type SocketEvents,
} from '../index.js'
import { type Config, encode, type HubMessage, type Snapshot } from './protocol.js'
import type { Requests } from './requests.js'
import { isGreeting } from './session.js'

/** What the platform or the application provides for the socket. */
export interface HubSettings {
  createSocket?: CreateSocket | undefined
  WebSocket?: (new (url: any, protocols?: any) => any) | undefined
}

/** The options of the hub's socket. */
const socketOptions = (config: Config, requests: Requests, WebSocket: any): any => {
  const { endpoint: _, replay: __, session, protocols, prepare, retry, ...options } = config
  return {
    ...options,
    protocols: protocols === true ? requests.caller('protocols', !!session) : protocols,
    prepare: prepare && requests.prepare,
    retry: retry === false ? false : backoff(retry === true ? {} : (retry as object)),
    // The messages of the tabs wait in `delivery`.
    queue: { maxBytes: Infinity },
    WebSocket,
  }
}

/** The options for a reliable session, which all tabs share. */
const sessionOptions = (
  { retry }: { retry: Retry | false },
  greet: (frame: string) => void,
  onRetry: (context: RetryContext) => void,
) => ({
  async prepare({ receive }: PreparedConnection) {
    let frame: string | ArrayBuffer
    do frame = await receive()
    while (!isGreeting(frame))
    greet(frame as string)
  },
  retry:
    retry &&
    ((context: RetryContext) => {
      onRetry(context)
      // The session is lost, and another one begins.
      return context.cause.close?.code === 1008 && context.attempt === 1 ? 50 : retry(context)
    }),
})

/** The socket of a hub. */
export interface HubSocket {
  readonly socket: Socket<any>
  snapshot(): Snapshot
}

/** Creates the socket with the options of the first tab. `onEvent` is called for all its events. */
export const createHubSocket = (
  config: Config,
  requests: Requests,
  { createSocket = createDefault, WebSocket }: HubSettings,
  post: (message: HubMessage) => void,
  onEvent: (event: keyof SocketEvents, payload: any) => void,
): HubSocket => {
  let greeting: string | undefined
  const greet = (frame: string) => {
    greeting = frame
  }
  const onRetry = ({ attempt, cause, uptime, elapsed }: RetryContext) => {
    const { code, close } = cause
    post({ type: 'retry', context: { attempt, uptime, elapsed, cause: { code, close } } })
  }
  // A function, so that a URL that the platform rejects causes an event.
  const endpoint =
    config.endpoint === true ? requests.caller('endpoint', !!config.session) : () => config.endpoint as string
  const options = socketOptions(config, requests, WebSocket)
  if (config.session) Object.assign(options, sessionOptions(options, greet, onRetry))
  const socket: Socket<any> = createSocket<any>(endpoint, options)
  for (const event of ['state', 'open', 'text', 'binary', 'close', 'error', 'drop'] as const) {
    socket.on(event, (payload: any) => onEvent(event, payload))
  }
  return {
    socket,
    snapshot() {
      const { state, url, protocol, latency, stats } = socket
      const { attempts, connections } = stats
      return { state: encode(state), url, protocol, latency, attempts, connections, greeting }
    },
  }
}
