// Calls and subscriptions through resets, cuts, freezes and restarts of the server. The log of the server shows which calls were executed.
import { test } from 'vitest'
import { WebSocket } from 'ws'
import * as entry from '../../src/calls.ts'
import * as core from '../../src/index.ts'
import { startCallsServer } from '../interop/calls-server.ts'
import { callMany, judge, startFaults } from '../interop/calls-traffic.ts'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { startProxy } from '../support/proxy.ts'
import { createRandom } from '../support/random.ts'
import { byEffort } from '../support/run.ts'

cleanUp()

const COUNT = byEffort(5_000, 100_000, 300_000)

test(`${COUNT} calls through faults of every kind: none hangs, none is executed twice by default, and every outcome is true`, {
  timeout: 900_000,
}, async () => {
  const random = createRandom(16)
  const server = await startCallsServer(() => random.below(4))
  cleanup(() => server.stop())
  const proxy = await startProxy({ port: server.port })
  cleanup(() => proxy.close())
  const faults = startFaults(server, proxy, random, 400)
  const start = performance.now()
  const traffic = await callMany(
    { ...core, ...entry },
    proxy.url(),
    COUNT,
    800,
    6,
    { WebSocket },
    async () => {
      await faults.stop()
      return server.items
    },
  )
  const tally = judge(traffic, server)
  const seconds = ((performance.now() - start) / 1_000).toFixed(1)
  console.info(
    `${traffic.outcomes.length} calls in ${seconds} s over ${traffic.opens} connections, ${traffic.handovers} handovers:`,
    tally,
    faults.counts,
  )
})
