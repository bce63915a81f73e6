import { vi } from 'vitest'

/** Ends a test that hangs. It is no bound for the product, so it is long enough for a busy machine. */
const TIMEOUT = 60_000

/**
 * Calls a function every `interval` milliseconds until it does not throw, and resolves with its result: for a condition of another process,
 * which has no event for it. Rejects with the last error after a minute. `vi.waitFor()` gives up after one second.
 */
export const eventually = <Result>(check: () => Result | Promise<Result>, interval = 50): Promise<Result> =>
  vi.waitFor(check, { timeout: TIMEOUT, interval })
