// All scenarios, in the order of the table.
import { beyond } from './beyond.mjs'
import { closing } from './closing.mjs'
import { events } from './events.mjs'
import { handovers } from './handover.mjs'
import { liveness } from './liveness.mjs'
import { loading } from './loading.mjs'
import { network } from './network.mjs'
import { queue } from './queue.mjs'
import { reconnecting } from './reconnecting.mjs'
import { reported } from './reported.mjs'

export const subjects = [
  queue,
  events,
  reconnecting,
  network,
  closing,
  liveness,
  handovers,
  reported,
  loading,
  beyond,
]
export const scenarios = subjects.flatMap(({ scenarios }) => scenarios)
