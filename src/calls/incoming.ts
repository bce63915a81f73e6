import type { Connection, Subscription } from './connection.js'
import { CallError } from './errors.js'
import type { EndSubscription } from './make.js'
import type { Incoming } from './protocol.js'
import type { ReceiveAnswer } from './requests.js'
import type { ReceiveItem } from './subscriptions.js'

/** Processes the contents of the messages of a connection. */
export const createIncoming = (
  connection: Connection,
  receive: ReceiveAnswer,
  receiveItem: ReceiveItem,
  endSubscription: EndSubscription,
  /** Runs the handler of a call of the server. */
  answer: (name: string, params: unknown) => unknown,
  hasHandlers: () => boolean,
  tell: (error: unknown) => void,
): Incoming => {
  /** During a handover, all messages of the previous connection are processed first. */
  const whenOpen = (job: () => unknown): any =>
    connection.isOpen ? job() : new Promise(resolve => connection.held.push(() => resolve(job())))

  const end = (id: unknown, error: CallError | undefined, result?: unknown) => {
    if (!receive(id, error, result)) tell(new CallError('UNEXPECTED', id))
  }

  const use = (key: unknown, job: (subscription: Subscription) => void) =>
    whenOpen(() => {
      const subscription = connection.byKey.get(key)
      try {
        if (!subscription) throw new CallError('UNEXPECTED', key)
        job(subscription)
      } catch (error) {
        tell(error)
      }
    })

  return {
    result: (id, result) => end(id, undefined, result),
    error: (id, error) => end(id, new CallError('SERVER_ERROR', error)),
    item: (key, item, gap) => use(key, subscription => receiveItem(subscription, item, gap)),
    end: (key, error) =>
      use(key, subscription => {
        connection.byKey.delete(key)
        connection.made.delete(subscription)
        endSubscription(subscription, error === undefined ? undefined : new CallError('SERVER_ERROR', error))
      }),
    call: (name, params) => whenOpen(() => answer(name, params)),
    invalid() {
      tell(new CallError('MALFORMED'))
      return hasHandlers()
    },
  }
}
