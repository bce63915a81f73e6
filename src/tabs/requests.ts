import type { AttemptContext, PreparedConnection } from '../index.js'
import type { Tab } from './hub.js'
import { encode, type HubMessage, type TabMessage } from './protocol.js'

interface Ask {
  readonly tab: Tab
  /** Requests another tab. */
  repeat(): void
  readonly connection: PreparedConnection<any> | undefined
  resolve(value: any): void
  reject(error: unknown): void
}

/** Calls functions that cannot be copied, in one of the tabs that have them. */
export interface Requests {
  /** `isPatient`: whether to wait for a tab whose socket has been open before, if one may be about to join. */
  caller(what: string, isPatient?: boolean): (context: AttemptContext) => Promise<any>
  prepare(connection: PreparedConnection<any>): Promise<void>
  receive(message: TabMessage & { type: 'answer' | 'prepare' }): void
  /** The tab has ended. */
  forget(tab: Tab): void
}

/** How many milliseconds a new hub waits for a tab that knows the session. A tab that was just opened would begin another session. */
const JOIN_TIMEOUT = 3_000

/** How often to check whether they have joined. In milliseconds. */
const POLL = 20

/** Creates the requests of a hub. `haveJoined`: whether all tabs that are alive have joined. */
export const createRequests = (
  tabs: Map<string, Tab>,
  post: (message: HubMessage, to?: string) => void,
  haveJoined: () => Promise<boolean>,
): Requests => {
  const requests = new Map<number, Ask>()
  let next = 1
  const deadline = Date.now() + JOIN_TIMEOUT
  /** A tab that knows the session, if there is a session to resume. */
  const findKnown = () => [...tabs.values()].find(({ hasBeenOpen }) => hasBeenOpen)

  const ask = (what: string, context: any, signal: AbortSignal, connection?: PreparedConnection<any>) =>
    new Promise<any>((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      const tab = findKnown() ?? [...tabs.values()][0]
      if (!tab) return reject(new Error('No tab is left'))
      const id = next++
      const repeat = () => ask(what, context, signal).then(resolve, reject)
      requests.set(id, { tab, connection, repeat, resolve, reject })
      signal.addEventListener('abort', () => {
        requests.delete(id)
        post({ type: 'abort', id }, tab.id)
        reject(signal.reason)
        // The next attempt asks another tab, in case this one does not answer. All functions for one attempt are called in the same tab.
        if (tabs.get(tab.id) !== tab) return
        tabs.delete(tab.id)
        tabs.set(tab.id, tab)
      })
      post({ type: 'ask', id, what, context }, tab.id)
    })

  return {
    caller:
      (what, isPatient) =>
      async ({ signal, attempt, cause }) => {
        // Posts `welcome` to a tab that is joining first.
        await 0
        while (isPatient && !findKnown() && Date.now() < deadline && !(await haveJoined()))
          await new Promise(resolve => setTimeout(resolve, POLL))
        return ask(what, { attempt, cause: cause && encode(cause) }, signal)
      },
    prepare: connection =>
      ask('prepare', { url: connection.url, protocol: connection.protocol }, connection.signal, connection),
    async receive(message) {
      const found = requests.get(message.id)
      if (!found) return
      const { tab, connection, resolve, reject } = found
      if (message.type === 'answer') {
        requests.delete(message.id)
        return message.error === undefined ? resolve(message.value) : reject(new Error(message.error))
      }
      try {
        if (message.reply === undefined) connection?.send(message.data as string)
        else post({ type: 'reply', id: message.reply, value: await connection?.receive() }, tab.id)
      } catch (error) {
        // If the attempt has ended, this has no effect, and the tab is told by `abort`.
        reject(error)
      }
    },
    forget(tab) {
      for (const [id, ask] of requests) {
        if (ask.tab !== tab) continue
        requests.delete(id)
        // Another tab cannot continue a `prepare` that has begun.
        if (ask.connection) ask.reject(new Error('The tab that prepared the connection has ended'))
        else ask.repeat()
      }
    },
  }
}
