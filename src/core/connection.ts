import { check } from './data.js'
import { type CloseInfo, SocketError, type SocketErrorCode } from './errors.js'
import type { Settings } from './options.js'
import type { AttemptContext, Connection, Endpoint } from './types.js'

/** One attempt, and the connection that came of it. */
export interface Line {
  /** Not there while the endpoint function is being asked. */
  native?: WebSocket
  /** How the native socket ended, once it has, and how many bytes had not left it then. */
  ended?: CloseInfo
  unsent?: number
  /** Hands on what comes from now on, and what came before and `prepare` did not take. */
  take(hear: (event: MessageEvent) => void): void
  /**
   * Lets go, and closes in the background: on a dead peer the browser's own close takes a minute, or for ever.
   * Says how many bytes had not left the native socket when it ended; if it has not, nobody knows.
   */
  leave(): number | undefined
}

/** By when, in milliseconds, the `close` after an `error` has come if it comes at all. */
const CLOSE_FOLLOWS = 100

/** Starts an attempt. With nothing to ask for, what the platform's constructor throws comes out of here. */
export const dial = <Binary extends BinaryType>(
  endpoint: Endpoint,
  { protocols, binaryType, prepare, WebSocket = globalThis.WebSocket }: Settings<Binary>,
  { attempt, cause }: { readonly attempt: number; readonly cause?: SocketError | undefined },
  failed: (error: SocketError) => void,
  ready: (native: WebSocket) => void,
): Line => {
  const scope = new AbortController()
  const { signal } = scope
  const ask = <Value>(given: Value | ((context: AttemptContext) => Value | PromiseLike<Value>)) =>
    typeof given === 'function'
      ? (given as (context: AttemptContext) => Value | PromiseLike<Value>)({ attempt, cause, signal })
      : given
  const early: MessageEvent[] = []
  let silence: ReturnType<typeof setTimeout> | undefined
  const takers: [take: (data: any) => void, giveUp: (reason: unknown) => void][] = []

  const fail = (code: SocketErrorCode, error?: unknown, detail?: string) => {
    if (!signal.aborted) failed(new SocketError(code, error, line.ended, detail))
  }

  const refuse = () => fail('CONNECTION_REFUSED', undefined, 'the browser does not say why')

  const open = (url: string | URL, subprotocols: string | string[] | undefined) => {
    if (signal.aborted) return
    const native: WebSocket = new WebSocket(url, subprotocols)
    let opened = false
    line.native = native
    native.binaryType = binaryType
    native.onopen = async () => {
      opened = true
      try {
        // Without it nothing is awaited: open is open at once.
        if (prepare) await prepare(connection(native))
      } catch (error) {
        return fail('PREPARE_FAILED', error)
      }
      if (!signal.aborted && !line.ended) ready(native)
    }
    native.onmessage = event => {
      const taker = takers.shift()
      if (taker) taker[0](event.data)
      else early.push(event)
    }
    native.onclose = ({ code, reason, wasClean }) => {
      line.ended = { code, reason, wasClean }
      line.unsent = native.bufferedAmount ?? 0
      if (opened) fail('CONNECTION_LOST')
      else refuse()
    }
    // The close that follows says all there is to say. None does after some failures to connect: in Chromium 156 (a
    // Content-Security-Policy forbids it), WebKitGTK 2.50 (`ws:` in an `https:` page, a blocked port) and Node 22.
    native.onerror = () => {
      if (!opened && !signal.aborted) silence = setTimeout(refuse, CLOSE_FOLLOWS)
    }
  }

  const connection = (native: WebSocket): Connection<Binary> => ({
    send(data) {
      check(data)
      native.send(data as ArrayBuffer)
    },
    receive: () =>
      new Promise((...taker) => {
        const event = early.shift()
        if (signal.aborted) taker[1](signal.reason)
        else if (event) taker[0](event.data)
        else takers.push(taker)
      }),
    url: native.url,
    protocol: native.protocol,
    signal,
  })

  const line: Line = {
    take(hear) {
      ;(line.native as WebSocket).onmessage = hear
      takers.length = 0
      early.splice(0).forEach(hear)
    },
    leave() {
      const { native, ended, unsent } = line
      clearTimeout(silence)
      scope.abort()
      for (const [, giveUp] of takers) giveUp(signal.reason)
      if (!native) return
      native.onopen = native.onmessage = native.onclose = null
      native.close()
      return ended && Math.min(unsent as number, native.bufferedAmount ?? 0)
    },
  }

  if (typeof endpoint === 'function' || typeof protocols === 'function') {
    ;(async () => open(...(await Promise.all([ask(endpoint), ask(protocols)]))))().catch(error =>
      fail('ENDPOINT_FAILED', error),
    )
  } else open(endpoint, protocols)
  return line
}
