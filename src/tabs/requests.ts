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
  /** `patience`: how many milliseconds to wait for a tab whose socket has been open before. */
  caller(what: string, patience?: number): (context: AttemptContext) => Promise<any>
  prepare(connection: PreparedConnection<any>): Promise<void>
  receive(message: TabMessage): void
  /** The tab has ended. */
  forget(tab: Tab): void
}

/** Creates the requests of a hub. */
export const createRequests = (
  tabs: Map<string, Tab>,
  post: (message: HubMessage, to?: string) => void,
): Requests => {
  const requests = new Map<number, Ask>()
  let next = 1

  const ask = (what: string, context: any, signal: AbortSignal, connection?: PreparedConnection<any>) =>
    new Promise<any>((resolve, reject) => {
      // Prefers a tab that knows the session, if there is a session to resume.
      const tab = [...tabs.values()].find(({ hasBeenOpen }) => hasBeenOpen) ?? [...tabs.values()][0]
      if (!tab) return reject(new Error('No tab is left'))
      // The next one asks another tab, in case this one does not answer.
      tabs.delete(tab.id)
      tabs.set(tab.id, tab)
      const id = next++
      const repeat = () => ask(what, context, signal).then(resolve, reject)
      requests.set(id, { tab, connection, repeat, resolve, reject })
      signal.addEventListener('abort', () => {
        if (requests.delete(id)) post({ type: 'abort', id }, tab.id)
        reject(signal.reason)
      })
      post({ type: 'ask', id, what, context }, tab.id)
    })

  return {
    caller:
      (what, patience) =>
      async ({ signal, attempt, cause }) => {
        // Posts `welcome` to a tab that is joining first.
        await 0
        const isKnown = [...tabs.values()].some(({ hasBeenOpen }) => hasBeenOpen)
        if (patience && !isKnown) await new Promise(resolve => setTimeout(resolve, patience))
        return ask(what, { attempt, cause: cause && encode(cause) }, signal)
      },
    prepare: connection =>
      ask('prepare', { url: connection.url, protocol: connection.protocol }, connection.signal, connection),
    async receive(message) {
      if (message.type !== 'answer' && message.type !== 'prepare') return
      const found = requests.get(message.id)
      if (!found) return
      const { tab, connection, resolve, reject } = found
      if (message.type === 'answer') {
        requests.delete(message.id)
        if (message.error === undefined) resolve(message.value)
        else reject(new Error(message.error))
        return
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
