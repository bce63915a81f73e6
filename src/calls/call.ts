import { CallError } from './errors.js'
import { type AddRequest, type CancelRequest, type Request, sizeOf, type Transmit } from './requests.js'
import type { CallOptions } from './types.js'

/** The longest delay of a timer: one with a longer delay fires at once. */
const MAX_DELAY = 2 ** 31 - 1

/** Sends a call. Resolves with its result, or rejects with a `CallError`. */
export type SendCall = (id: number, data: any, options: CallOptions) => Promise<unknown>

export const createSendCall = (
  add: AddRequest,
  cancel: CancelRequest,
  transmit: Transmit,
  maxCalls: number,
  maxBytes: number,
  defaults: CallOptions,
): SendCall => {
  let count = 0
  let bytes = 0

  return async (
    id,
    data,
    { timeout = defaults.timeout ?? 30_000, again = defaults.again ?? 'unsent', signal },
  ) => {
    const size = sizeOf(data)
    if (signal?.aborted) throw new CallError('NOT_SENT', signal.reason)
    if (count >= maxCalls) throw new CallError('NOT_SENT', 'maxCalls')
    if (bytes + size > maxBytes) throw new CallError('NOT_SENT', 'maxBytes')
    count++
    bytes += size
    const queued = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    let onAbort = () => {}
    try {
      return await new Promise((resolve, reject) => {
        const request: Request = {
          id,
          data,
          again,
          queued,
          onEnd(error, result) {
            // It is not sent again, however it has ended.
            queued.abort()
            if (error) reject(error)
            else resolve(result)
          },
        }
        onAbort = () => cancel(request, 'UNKNOWN', signal?.reason)
        const wait = (delay: number) => {
          if (delay > MAX_DELAY) timer = setTimeout(wait, MAX_DELAY, delay - MAX_DELAY)
          else timer = setTimeout(cancel, delay, request, 'TIMEOUT')
        }
        if (timeout < Infinity) wait(timeout)
        signal?.addEventListener('abort', onAbort)
        add(request, transmit)
      })
    } finally {
      count--
      bytes -= size
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
  }
}
