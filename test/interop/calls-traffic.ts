// Calls and subscriptions over an unreliable network: the code of the page, and the comparison of its results with the log of the server. Tests send
// the source of `callMany()` to browsers, so it does not use anything else from this file.
import { expect } from 'vitest'
import type * as Entry from '../../src/calls.ts'
import type * as Core from '../../src/index.ts'
import type { FaultProxy } from '../support/proxy.ts'
import type { Random } from '../support/random.ts'
import type { CallsServer } from './calls-server.ts'

/** The outcomes of the calls, by number, and the items that arrived. */
export interface Traffic {
  /** How each call may be sent again. */
  readonly again: readonly string[]
  /** `result`, `refused`, or the code of the error. */
  readonly outcomes: readonly string[]
  /** The items of the news, with their gaps. With a cursor, and without. */
  readonly news: readonly [item: number, gap: boolean][]
  readonly now: readonly [item: number, gap: boolean][]
  /** How the refused subscription ended. */
  readonly ends: readonly string[]
  readonly opens: number
  /** How many connections took over from one that was read to its end. */
  readonly handovers: number
  readonly errors: readonly string[]
}

/**
 * Makes at least this many calls, at most `width` at a time, until there have been as many connections as necessary. Then it waits for the last
 * item of the news.
 */
export async function callMany(
  { createSocket, calls, jsonRpc }: typeof Core & typeof Entry,
  url: string,
  count: number,
  width: number,
  connections: number,
  options: Core.SocketOptions,
  lastItem: () => Promise<number> | number,
): Promise<Traffic> {
  const again: string[] = []
  const outcomes: string[] = []
  const news: [number, boolean][] = []
  const now: [number, boolean][] = []
  const ends: string[] = []
  const errors: string[] = []
  let opens = 0
  let handovers = 0
  let next = 0
  const api = calls(
    prepare =>
      createSocket(url, {
        prepare,
        retry: () => Math.random() * 30,
        heartbeat: {
          interval: 150,
          timeout: 150,
          message: '{"jsonrpc":"2.0","method":"ping"}',
          isReply: data => data === 'pong',
        },
        ...options,
      }),
    jsonRpc(),
  )
  api.on('error', ({ code }) => errors.push(code))
  api.socket.on('open', ({ seamless }) => {
    opens++
    if (seamless) handovers++
  })
  // Handovers may fail. That does not affect the calls.
  const moving = setInterval(() => api.socket.handover().catch(() => {}), 150)
  let wake = () => {}
  api.subscribe(
    'news',
    (last: unknown) => ({ after: last ?? 0 }),
    (item, { gap }) => {
      news.push([item as number, gap])
      wake()
    },
  )
  api.subscribe('now', undefined, (item, { gap }) => now.push([item as number, gap]))
  api.subscribe('secret', undefined, () => {}, { onEnd: error => ends.push(error?.code ?? 'end') })
  const work = async () => {
    while (next < count || opens < connections) {
      const number = next++
      const how = number % 10 === 1 ? 'never' : number % 10 === 2 ? 'always' : 'unsent'
      again[number] = how
      // If it is the default, the option is omitted.
      const options = {
        ...(how !== 'unsent' && ({ again: how } as const)),
        ...(number % 10 === 3 && { timeout: 100 }),
      }
      outcomes[number] = await api.call('do', [number], options).then(
        result => (result === number ? 'result' : `wrong result ${result}`),
        error =>
          error.code === 'SERVER_ERROR'
            ? error.cause.code === number
              ? 'refused'
              : 'wrong error'
            : error.code,
      )
    }
  }
  await Promise.all(Array.from({ length: width }, work))
  clearInterval(moving)
  const last = await lastItem()
  await new Promise<void>(resolve => {
    wake = () => {
      if ((news.at(-1)?.[0] ?? 0) >= last) resolve()
    }
    wake()
  })
  api.socket.close()
  return { again, outcomes, news, now, ends, opens, handovers, errors }
}

/** Breaks the network and the server in every way, until it is stopped. Resolves when everything works again. */
export function startFaults(server: CallsServer, proxy: FaultProxy, random: Random, pause: number) {
  let isStopped = false
  const sleep = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))
  const counts: Record<string, number> = {}
  const faults = {
    reset: () => proxy.reset(),
    'cut in a message, up': () => proxy.connections.at(-1)?.cutAfter(1 + random.below(5_000), 'up'),
    'cut in a message, down': () => proxy.connections.at(-1)?.cutAfter(1 + random.below(5_000), 'down'),
    async freeze() {
      proxy.freeze()
      await sleep(random.below(600))
      proxy.thaw()
    },
    async 'freeze one way'() {
      const way = random.of(['up', 'down'] as const) ?? 'up'
      proxy.freeze(way)
      await sleep(random.below(600))
      proxy.thaw(way)
    },
    restart: () => server.restart(),
    'close 1012': () => server.closeAll(1012),
  }
  const run = async () => {
    while (!isStopped) {
      await sleep(pause / 2 + random.below(pause))
      const name = random.of(Object.keys(faults) as (keyof typeof faults)[]) ?? 'reset'
      counts[name] = (counts[name] ?? 0) + 1
      await faults[name]()
    }
    proxy.thaw()
  }
  const running = run()
  const publishing = setInterval(() => server.publish(), 5)
  return {
    counts,
    async stop() {
      isStopped = true
      await running
      clearInterval(publishing)
    },
  }
}

/** Without repetitions: while two connections are open, both bring the items. */
const advancing = (items: Traffic['now']) => {
  let last = 0
  const rest: [item: number, gap: boolean][] = []
  let hasGap = false
  for (const [item, gap] of items) {
    hasGap ||= gap
    if (item <= last) continue
    rest.push([item, hasGap])
    last = item
    hasGap = false
  }
  return rest
}

/** Compares the results of the page with the log of the server. Returns the number of calls with each outcome. */
export function judge(
  { again, outcomes, news, now, ends, opens, handovers, errors }: Traffic,
  server: CallsServer,
) {
  const tally: Record<string, number> = {}
  const wrong: string[] = []
  for (let number = 0; number < again.length; number++) {
    const outcome = outcomes[number] ?? 'hanging'
    const executed = server.executed.get(number) ?? 0
    tally[outcome] = (tally[outcome] ?? 0) + 1
    const isTrue =
      outcome === 'result' || outcome === 'refused'
        ? executed >= 1
        : outcome === 'NOT_SENT'
          ? executed === 0
          : outcome === 'UNKNOWN' || outcome === 'TIMEOUT'
    const isOnce = executed <= 1 || again[number] === 'always'
    if (!isTrue || !isOnce) wrong.push(`${number} (${again[number]}): ${outcome}, executed ${executed} times`)
  }
  expect(wrong, 'outcomes that contradict the log of the server').toEqual([])
  expect(outcomes).toHaveLength(again.length)

  // With a cursor, every item, in order.
  const all = advancing(news)
  expect(
    all.filter(([item], at) => item !== at + 1),
    'missing items of the news',
  ).toEqual([])
  // Before the first item, the page does not know where to continue.
  expect(
    all.slice(1).filter(([, gap]) => gap),
    'gaps in the news',
  ).toEqual([])
  // Without a cursor, items may be missing only where there is a gap.
  const some = advancing(now)
  const jumps = some.filter(([item], at) => at > 0 && item !== (some[at - 1]?.[0] as number) + 1)
  expect(
    jumps.filter(([, gap]) => !gap),
    'items that are missing without a gap',
  ).toEqual([])
  expect(some.filter(([, gap]) => gap).length, 'gaps').toBeLessThan(opens - handovers + 1)
  expect(ends).toEqual(['SERVER_ERROR'])
  // Replies that arrive after a timeout.
  expect(new Set(errors)).toEqual(new Set(errors.length ? ['UNEXPECTED'] : []))
  return tally
}
