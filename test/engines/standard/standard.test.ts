// The standard's own tests, in our words, for the engine's WebSocket and for ours with reconnection switched off: whoever
// holds one of them cannot tell which it is. NOTES.md beside this file says which of the Web Platform Tests are in it.
import { isDeepStrictEqual } from 'node:util'
import { describe, expect, test } from 'vitest'
import { type HandshakeServer, startHandshakeServer } from '../../interop/handshake.ts'
import { freePort } from '../../support/ports.ts'
import type { Page } from '../page.ts'
import { inEveryEngine } from '../rig.ts'
import { umd } from '../site.ts'
import { all } from './all.ts'
import { deviations } from './deviations.ts'
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

inEveryEngine(rig => {
  const script = '/standard.js'
  const results: Record<string, Map<string, unknown>> = {}

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
        await one(page, subject, worker)
        await page.close()
      }
    }
  }

  test('every case runs', async () => {
    const server = await startHandshakeServer()
    await collect(server, `ws://127.0.0.1:${await freePort()}/`)
    await server.stop()
  })

  for (const worker of [false, true]) {
    describe(worker ? 'in a worker' : 'in a page', () => {
      describe.each(titles(worker))('%s', title => {
        const { standard, differs = {} } = all[title] ?? {}
        const deviation = standard === undefined ? undefined : deviations[title]?.[rig.name]
        const of = (subject: Subject) => results[`${subject} ${worker}`]?.get(title)
        const deviates = (result: unknown) =>
          typeof deviation?.instead === 'function'
            ? deviation.instead(result)
            : deviation !== undefined && isDeepStrictEqual(result, deviation.instead)

        if (standard !== undefined) {
          const may = deviation ? `, or still ${deviation.what}` : ''
          test(`the engine does as the standard says${may}`, () => {
            const result = of('WebSocket')
            if (!deviates(result)) expect(result).toEqual(standard)
          })
        }
        const difference = differs.all ?? differs[rig.name]
        test(difference ? `ours ${difference}` : 'ours does as the engine does', () => {
          const [engine, own] = [of('WebSocket'), of('SteadySocket.WebSocket')]
          // What differs from run to run may differ between the two as well.
          const varies = typeof deviation?.instead === 'function' && !difference
          if (varies && (deviates(own) || isDeepStrictEqual(own, standard))) return
          if (differs.all || (difference && (!deviation || deviates(engine)))) expect(own).not.toEqual(engine)
          else expect(own).toEqual(engine)
        })
      })
    })
  }
})
