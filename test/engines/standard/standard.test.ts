// The standard's own tests, in our words, for the engine's WebSocket and for ours with reconnection switched off: whoever
// holds one of them cannot tell which it is. NOTES.md beside this file says which of the Web Platform Tests are in it.
import { describe, expect, test } from 'vitest'
import { type HandshakeServer, startHandshakeServer } from '../../interop/handshake.ts'
import { freePort } from '../../support/ports.ts'
import type { Page } from '../page.ts'
import { inEveryEngine } from '../rig.ts'
import { umd } from '../site.ts'
import { all } from './all.ts'
import { type Subject, source, type Verdict } from './under.ts'

const titles = (worker: boolean) => Object.keys(all).filter(title => !(worker && all[title]?.page))

/** In the page: the same in a worker. */
function performInWorker(script: string, args: readonly unknown[]) {
  return new Promise<Verdict[]>((resolve, reject) => {
    const worker = new Worker(script)
    worker.onmessage = ({ data }) => resolve(data)
    worker.onerror = ({ message }) => reject(new Error(message))
    worker.postMessage(args)
  })
}

declare const SteadySocket: any

inEveryEngine(rig => {
  const script = '/standard.js'
  const results: Record<string, Map<string, unknown>> = {}
  let ours = false

  async function collect(server: HandshakeServer, closed: string) {
    rig.site.script(script, source(all))
    rig.site.script(
      '/standard-worker.js',
      `importScripts('${umd}', '${script}')
      onmessage = async ({ data }) => postMessage(await perform(...data))`,
    )
    const one = async (page: Page, subject: Subject, worker: boolean) => {
      const args = [server.origin, closed, subject, titles(worker)] as const
      const verdicts = worker
        ? await page.evaluate(performInWorker, '/standard-worker.js', args)
        : ((await page.evaluate(`perform(...${JSON.stringify(args)})`)) as Verdict[])
      results[`${subject} ${worker}`] = new Map(verdicts.map(({ title, result }) => [title, result]))
    }
    for (const worker of [false, true]) {
      for (const subject of ['WebSocket', 'SteadySocket.WebSocket'] as const) {
        const page = await rig.engine.open(rig.site.page({ scripts: [umd, script] }))
        ours = await page.evaluate(() => 'WebSocket' in SteadySocket)
        if (subject === 'WebSocket' || ours) await one(page, subject, worker)
        await page.close()
      }
    }
  }

  test('every case runs', async () => {
    const server = await startHandshakeServer()
    await collect(server, `ws://127.0.0.1:${await freePort()}/`)
    await server.stop()
  }, 180_000)

  for (const worker of [false, true]) {
    describe(worker ? 'in a worker' : 'in a page', () => {
      describe.each(titles(worker))('%s', title => {
        const { standard, deviates = {}, differs = {} } = all[title] ?? {}
        const difference = differs.all ?? differs[rig.name]
        const of = (subject: Subject) => results[`${subject} ${worker}`]?.get(title)

        if (standard !== undefined && deviates[rig.name] === undefined) {
          test('the engine does as the standard says', () => expect(of('WebSocket')).toEqual(standard))
        }
        if (standard !== undefined && deviates[rig.name] !== undefined) {
          test(`the engine ${deviates[rig.name]}`, () => expect(of('WebSocket')).not.toEqual(standard))
        }
        test(difference ? `ours ${difference}` : 'ours does as the engine does', ({ skip }) => {
          if (!ours) skip('no class in the package')
          const expected = expect(of('SteadySocket.WebSocket'))
          if (difference) expected.not.toEqual(of('WebSocket'))
          else expected.toEqual(of('WebSocket'))
        })
      })
    })
  }
})
