import type { SocketError } from './errors.js'

/** A call of `handover()`. */
interface Request {
  readonly resolve: () => void
  readonly reject: (reason: SocketError) => void
  readonly cause: unknown
}

/** The calls of `handover()` that have not been settled. */
export interface Requests {
  /** `isLate`: the attempt in progress has started before. */
  add(request: Request, isLate: boolean): void
  /** A connection is open. Returns the first request for another one, if there is one. */
  resolve(): Request | undefined
  /** The connection in progress was given up: the next one will do for all. */
  merge(): void
  reject(reason: SocketError): void
}

export const createRequests = (): Requests => {
  let present: Request[] = []
  let late: Request[] = []
  return {
    add(request, isLate) {
      ;(isLate ? late : present).push(request)
    },
    resolve() {
      for (const { resolve } of present) resolve()
      present = late
      late = []
      return present[0]
    },
    merge() {
      present.push(...late.splice(0))
    },
    reject(reason) {
      for (const { reject } of [...present.splice(0), ...late.splice(0)]) reject(reason)
    },
  }
}
