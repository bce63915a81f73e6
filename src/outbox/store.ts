import type { OutboxLimits, OutboxProblem, OutboxRecord, OutboxStorage } from './types.js'

/** After how many milliseconds to try again to open a storage that could not be opened. */
const PAUSE = 10_000

/** Opening a database can hang without an error. */
// https://bugs.webkit.org/show_bug.cgi?id=226547
const OPEN_TIMEOUT = 5_000

/** A step can hang, and so can `encode` and `decode`. If it takes effect later, the server recognizes the repetition. */
const STEP_TIMEOUT = 30_000

export type Reason = OutboxProblem['reason']

export interface StoreOwner {
  /** The storage was closed: its messages may be lost. */
  onLost(cause: unknown): void
  /** A step has failed, for the first time since it last succeeded. */
  onFailure(reason: Reason, cause: unknown): void
}

/** Handles the failures of a storage: a step that fails resolves with `undefined`. */
export interface Store {
  add(records: readonly Omit<OutboxRecord, 'key'>[]): Promise<readonly (number | undefined)[] | undefined>
  list(after: number, limit: number): Promise<readonly OutboxRecord[] | undefined>
  remove(keys: readonly number[]): Promise<unknown>
  /** All messages. Rejects if they cannot be read. */
  all(): Promise<readonly OutboxRecord[]>
  /** Rejects if this is not possible. */
  clear(): Promise<void>
}

const reasonOf = ({ name }: { name?: string }, otherwise: Reason): Reason =>
  name === 'QuotaExceededError' ? 'quota' : name === 'VersionError' ? 'newer' : otherwise

/** Rejects if a step of the storage or a function of the application does not settle in time. */
export const withTimeout = async <Value>(
  step: Value | PromiseLike<Value>,
  timeout: number = STEP_TIMEOUT,
): Promise<Value> => {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(reject, timeout, new Error(`No answer for ${timeout} ms`))
  })
  return Promise.race([step, late]).finally(() => clearTimeout(timer))
}

export const createStore = (
  storage: OutboxStorage,
  limits: Required<OutboxLimits>,
  { onLost, onFailure }: StoreOwner,
): Store => {
  let opening: Promise<void> | undefined
  /** The last failure, by the name of the step, until that step succeeds. */
  const failures = new Map<
    string,
    { readonly reason: Reason; readonly error: unknown; readonly until: number }
  >()

  const fail = (step: string, reason: Reason, error: unknown) => {
    const isNew = failures.get(step)?.reason !== reason
    failures.set(step, { reason, error, until: Date.now() + PAUSE })
    if (isNew) onFailure(reason, error)
  }

  const open = (): Promise<void> => {
    if (!opening) {
      const failure = failures.get('open')
      // Does not try to open the storage again for each message.
      if (failure && failure.until > Date.now()) return Promise.reject(failure.error)
      const mine = withTimeout(
        storage.open(cause => {
          if (opening !== mine) return
          opening = undefined
          onLost(cause)
        }),
        OPEN_TIMEOUT,
      )
      opening = mine
      mine.then(
        () => failures.delete('open'),
        error => {
          if (opening === mine) opening = undefined
          fail('open', reasonOf(error, 'unavailable'), error)
        },
      )
    }
    return opening
  }

  const strictly = async <Value>(step: () => Promise<Value>): Promise<Value> => {
    await open()
    return withTimeout(step())
  }

  const run = async <Value>(
    name: string,
    step: () => Promise<Value>,
    isRetry = false,
  ): Promise<Value | undefined> => {
    const mine = open()
    try {
      await mine
    } catch {
      return undefined
    }
    try {
      const value = await withTimeout(step())
      failures.delete(name)
      return value
    } catch (error) {
      // The storage was lost before this step.
      if (opening !== mine && !isRetry) return run(name, step, true)
      fail(name, reasonOf(error as Error, 'failed'), error)
      return undefined
    }
  }

  return {
    add: records => run('add', () => storage.add(records, limits)),
    list: (after, limit) => run('list', () => storage.list(after, limit)),
    remove: keys => run('remove', () => storage.remove(keys)),
    all: () => strictly(() => storage.list(0, Infinity)),
    clear: () => strictly(() => storage.clear()),
  }
}
