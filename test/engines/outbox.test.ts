// Messages of an outbox, while browsers and nodes of the server are killed: what was stored is handled once, and in order.
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { WebSocketServer } from 'ws'
import type * as Outboxes from '../../src/outbox.ts'
import type * as Reliable from '../../src/reliable.ts'
import { hasRedis } from '../interop/redis.ts'
import { startCluster } from '../interop/reliable-cluster.ts'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { createRandom } from '../support/random.ts'
import { byEffort, effort } from '../support/run.ts'
import { type Engine, engines, type Launcher, type Page } from './engines.ts'
import { patience } from './rig.ts'
import { startSite } from './site.ts'

cleanUp()
vi.setConfig({ testTimeout: effort === 'soak' ? 3_600_000 : patience })

const seed = Number(process.env.SEED ?? (effort === 'soak' ? Math.floor(Math.random() * 1e9) : 20_261_130))

/** Globals of the page, set by `load` and `begin`. */
declare const steady: typeof Outboxes & typeof Reliable
declare const outbox: Outboxes.StoredOutbox
declare const socket: Reliable.ReliableSocket

const load = `Promise.all([import('/dist/outbox.js'), import('/dist/reliable.js')])
  .then(all => { globalThis.steady = Object.assign({}, ...all) })`

/** In the page: connects, and returns the numbers of the messages that earlier pages have left. */
const begin = async (urls: string[], witness: string) => {
  const log = new WebSocket(witness)
  await new Promise(resolve => {
    log.onopen = resolve
  })
  // A message counts as accepted as soon as its transaction is complete.
  const { add } = IDBObjectStore.prototype
  IDBObjectStore.prototype.add = function (this: IDBObjectStore, record: any) {
    const { n } = JSON.parse(record.body).data
    this.transaction.addEventListener('complete', () => log.send(String(n)))
    return add.call(this, record)
  }
  const outbox = steady.indexedDbOutbox('burst')
  const left = (await outbox.pending()).map(({ data }) => (data as { n: number }).n)
  const socket = steady.createReliableSocket(() => urls[Math.floor(Math.random() * urls.length)] as string, {
    retry: () => 50,
    outbox,
  })
  Object.assign(globalThis, { outbox, socket })
  return left
}

/** In the page: sends messages, several at a time, without waiting for their outcomes. */
const burst = async (from: number, count: number) => {
  for (let n = from; n < from + count; n++) {
    socket.send({ from: 0, n, pad: 'x'.repeat(n % 40) })
    if (n % 8 === 0) await new Promise(resolve => setTimeout(resolve, 4))
  }
}

/** In the page: resolves when everything has an outcome. */
const drained = async () => {
  while ((await outbox.pending()).length) await new Promise(resolve => setTimeout(resolve, 20))
}

/** A browser whose pages end suddenly: it is killed, where that is possible, or else the page is left. */
const startVictim = async ({ launch, name }: Launcher, url: string) => {
  const profile = name === 'webkit' ? undefined : await mkdtemp(join(tmpdir(), 'outbox-'))
  let engine: Engine = await launch(profile)
  let page: Page = await engine.open(url)
  await page.evaluate(load)
  cleanup(async () => {
    await engine.close()
    if (profile) await rm(profile, { recursive: true, force: true, maxRetries: 5 })
  })
  return {
    get page() {
      return page
    },
    /** The page ends, with or without its browser, and is opened again. */
    async crash(isKill: boolean) {
      if (isKill && engine.kill) {
        await engine.kill()
        engine = await launch(profile)
        page = await engine.open(url)
      } else await page.goto(url)
      await page.evaluate(load)
    },
  }
}

const startWitness = async () => {
  const accepted = new Set<number>()
  const wss = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(wss, 'listening')
  wss.on('connection', client => client.on('message', data => accepted.add(Number(data))))
  cleanup(() => {
    for (const client of wss.clients) client.terminate()
    wss.close()
  })
  return { accepted, url: `ws://127.0.0.1:${(wss.address() as AddressInfo).port}` }
}

interface Plan {
  readonly crashes: number
  /** How many of them end the browser, in per cent. The others end the page. */
  readonly kills: number
  readonly messages: number
}

const run = async (launcher: Launcher, { crashes, kills, messages }: Plan) => {
  const random = createRandom(seed)
  const cluster = await startCluster({ maxUnacknowledged: 100_000 })
  const { nodes } = cluster
  const handled: number[] = []
  const auditor = cluster.connect(() => nodes[0] as (typeof nodes)[0], '/audit')
  const gaps: unknown[] = []
  auditor.on('message', ({ data }) => handled.push((data as { n: number }).n))
  auditor.on('gap', gap => gaps.push(gap))
  await new Promise(resolve => auditor.once('open', resolve))
  const site = await startSite()
  cleanup(() => site.close())
  const witness = await startWitness()
  const urls = nodes.map(({ proxy }) => proxy.url('/'))
  const victim = await startVictim(launcher, site.page({ scripts: [] }))

  const counts = { kills: 0, reloads: 0, nodes: 0, left: 0 }
  let next = 0
  for (let i = 0; i <= crashes; i++) {
    const left = await victim.page.evaluate(begin, urls, witness.url)
    counts.left += left.length
    for (const n of left) witness.accepted.add(n)
    const sending = victim.page.evaluate(burst, next, messages)
    next += messages
    if (i === crashes) {
      await sending
      break
    }
    sending.catch(() => {})
    await new Promise(resolve => setTimeout(resolve, random.below(400)))
    const doomed = random() < 0.3 ? random.of(nodes) : undefined
    const isKill = random.below(100) < kills
    if (doomed) counts.nodes++
    counts[isKill ? 'kills' : 'reloads']++
    await Promise.all([victim.crash(isKill), doomed?.kill().then(() => doomed.start())])
  }
  await victim.page.evaluate(drained)
  // The auditor gets everything that was published before this.
  const end = cluster.pusher.publish('audit', { n: -1 })
  await end
  await vi.waitFor(() => expect(handled).toContain(-1), { timeout: 120_000 })
  handled.splice(handled.indexOf(-1), 1)
  return { handled, accepted: witness.accepted, sent: next, counts, gaps }
}

describe.runIf(hasRedis()).each(engines())('$name', launcher => {
  const rows: string[] = []
  afterAll(() => {
    if (rows.length) console.log(rows.join('\n'))
  })

  test('handles every stored message once and in order, although pages, browsers and nodes end in the middle of bursts', async () => {
    const isKillable = launcher.name === 'chromium'
    const { handled, accepted, sent, counts, gaps } = await run(launcher, {
      crashes: isKillable ? byEffort(2, 3, 200) : byEffort(1, 2, 20),
      kills: isKillable ? 100 : launcher.name === 'firefox' ? 40 : 0,
      messages: 60,
    })
    rows.push(
      `${launcher.name}, seed ${seed}: ${sent} sent, ${accepted.size} stored, ${handled.length} handled; ${JSON.stringify(counts)}`,
    )
    expect(gaps).toEqual([])
    const once = new Set(handled)
    expect([...accepted].filter(n => !once.has(n))).toEqual([])
    expect(handled).toHaveLength(once.size)
    expect(handled).toEqual([...handled].sort((a, b) => a - b))
    // The last burst is complete.
    expect(handled.slice(-60)).toEqual(Array.from({ length: 60 }, (_, i) => sent - 60 + i))
  })
})
