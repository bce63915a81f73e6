import { type OutageOptions, type OutageSource, onOutage } from '../index.js'
import type { Store } from './store.js'
import type { Away } from './types.js'

/** The last report of an outage. */
export const outageStore = (socket: OutageSource, options: OutageOptions): Store<Away<unknown>> => {
  let outage: Away<unknown> = { away: false }
  return [
    onChange =>
      onOutage(socket, options, next => {
        outage = next as Away<unknown>
        onChange()
      }),
    () => outage,
  ]
}
