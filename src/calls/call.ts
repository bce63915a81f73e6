import { onAbort } from '../common/abort.js'
import { createTimer } from '../common/timers.js'
import { CallError } from './errors.js'
import { type AddRequest, type CancelRequest, type Request, sizeOf, type Transmit } from './requests.js'
import type { CallOptions } from './types.js'

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
    const setTimer = createTimer()
    let unwatch: (() => void) | undefined
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
        setTimer(timeout, () => cancel(request, 'TIMEOUT'))
        unwatch = signal && onAbort(signal, () => cancel(request, 'UNKNOWN', signal.reason))
        add(request, transmit)
      })
    } finally {
      count--
      bytes -= size
      setTimer()
      unwatch?.()
    }
  }
}
