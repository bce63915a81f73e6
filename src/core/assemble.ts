import type { Data } from '../common/data.js'
import type { Checks } from './checks.js'
import type { StartHandover } from './handover.js'
import type { StartHeartbeat } from './heartbeat.js'
import type { WatchPage } from './page.js'
import type { PrepareConnection } from './prepare.js'
import { type CreateQueue, createQueue, missing } from './queue.js'
import { jitter, type Retry } from './retry.js'
import { type CreateSocket, makeCreateSocket } from './socket.js'
import type { BinaryType, Endpoint, QueueOptions, Socket, SocketOptions } from './types.js'

/** The optional parts of a socket. A part that is not passed adds no bytes to a bundle. */
export interface Parts {
  /** Detects dead connections: serves the option `heartbeat`. */
  heartbeat?: StartHeartbeat
  /** Reacts to page and network events: serves the option `wake`. */
  pageEvents?: WatchPage
  /**
   * Sends the unsent tail of a lost connection again, and limits the browser's buffer: serves `highWaterMark`, `queue.overflow`, and the
   * options of `send()`.
   */
  delivery?: CreateQueue
  /** Replaces a connection that may be dead, or must end, by a second one: serves the option `handover`, and `handover()`. Needs `delivery`. */
  handover?: StartHandover
  /** Serves the option `prepare`. */
  prepare?: PrepareConnection
  /** The default of the option `retry`. Without this part it is exponential backoff with full jitter, whatever the cause. */
  backoff?: () => Retry
  /** Rejects invalid options, arguments and listeners, and a missing `WebSocket`, with an error that says what to pass instead. */
  checks?: Checks
}

/** The options that parts serve, by part. */
interface PartOptions<Binary extends BinaryType> {
  heartbeat: Pick<SocketOptions<Binary>, 'heartbeat'>
  pageEvents: Pick<SocketOptions<Binary>, 'wake'>
  delivery: Pick<SocketOptions<Binary>, 'highWaterMark' | 'queue'>
  handover: Pick<SocketOptions<Binary>, 'handover'>
  prepare: Pick<SocketOptions<Binary>, 'prepare'>
}

type Served<Given extends Parts, Binary extends BinaryType> = {
  [Name in keyof PartOptions<Binary>]: Given extends { [Part in Name]: object }
    ? PartOptions<Binary>[Name]
    : unknown
}

/** The options of a socket that was assembled from these parts. */
export type AssembledOptions<Given extends Parts, Binary extends BinaryType = 'arraybuffer'> = Omit<
  SocketOptions<Binary>,
  'heartbeat' | 'wake' | 'highWaterMark' | 'queue' | 'prepare' | 'handover'
> & {
  /** Limits for queued messages. Default: 16 MiB. */
  queue?: Omit<QueueOptions, 'overflow'> | false | undefined
} & Served<Given, Binary>['heartbeat'] &
  Served<Given, Binary>['pageEvents'] &
  Served<Given, Binary>['delivery'] &
  Served<Given, Binary>['handover'] &
  Served<Given, Binary>['prepare']

/** A socket that was assembled from these parts. */
export type AssembledSocket<Given extends Parts, Binary extends BinaryType = 'arraybuffer'> = Given extends {
  delivery: object
}
  ? Socket<Binary>
  : Omit<Socket<Binary>, 'send'> & { send(data: Data): ReturnType<Socket['send']> }

/** A `createSocket` that was assembled from these parts. */
export type AssembledCreateSocket<Given extends Parts> = <Binary extends BinaryType = 'arraybuffer'>(
  endpoint: Endpoint,
  options?: AssembledOptions<Given, Binary>,
) => AssembledSocket<Given, Binary>

/** In the place of the part `handover`. */
const withoutHandover: StartHandover = connector => ({
  ...connector,
  request() {
    throw missing('handover()', 'handover')
  },
})

/** Makes a misspelt part a type error, because it would be missing silently. */
type NoOthers<Given> = { [Name in Exclude<keyof Given, keyof Parts>]: never }

/**
 * Makes a `createSocket` from the parts that an application needs. Options of a part that is missing are a type error, and throw a
 * `TypeError`.
 *
 * ```ts
 * import { assemble, heartbeat, pageEvents } from 'steadysocket/core'
 *
 * export const createSocket = assemble({ heartbeat, pageEvents })
 * ```
 */
export const assemble = <const Given extends Parts>(
  parts: Given & NoOthers<Given> = {} as Given & NoOthers<Given>,
): AssembledCreateSocket<Given> => {
  const given: Parts = parts
  if (given.handover && !given.delivery) throw missing("The part 'handover'", 'delivery')
  const create = makeCreateSocket(
    given.delivery ?? createQueue,
    given.backoff ?? jitter,
    given.handover ?? withoutHandover,
    given.heartbeat,
    given.pageEvents,
    given.prepare,
    given.checks,
  )
  const createSocket: CreateSocket = (endpoint, options = {}) => {
    /** The options by the part that serves them. */
    const served: { [Part in keyof Parts]: unknown } = {
      heartbeat: options.heartbeat,
      pageEvents: options.wake,
      prepare: options.prepare,
      handover: options.handover,
      delivery: (options.queue || undefined)?.overflow ?? options.highWaterMark,
    }
    for (const [part, option] of Object.entries(served)) {
      // With Infinity there is no limit, so no part is needed.
      if ((option || option === 0) && option !== Infinity && !parts[part as keyof Parts])
        throw missing('An option', part)
    }
    return create(endpoint, options)
  }
  return createSocket as AssembledCreateSocket<Given>
}
