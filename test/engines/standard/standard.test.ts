// Tests of the standard, run with the engine's WebSocket and with ours without reconnection, which must behave alike. NOTES.md in this folder
// lists the Web Platform Tests that the cases cover.
import { isDeepStrictEqual } from 'node:util'
import { describe, expect, test } from 'vitest'
import { type HandshakeServer, startHandshakeServer } from '../../interop/handshake.ts'
import { freePort } from '../../support/ports.ts'
import type { Page } from '../page.ts'
import { inEveryEngine } from '../rig.ts'
import { umd } from '../site.ts'
import { all } from './all.ts'
import { type CaseResult, type Subject, source } from './context.ts'
import { deviations } from './deviations.ts'

const titles = (worker: boolean) => Object.keys(all).filter(title => !(worker && all[title]?.page))

/** In the page: runs the cases in a worker. */
function runInWorker(script: string, args: readonly unknown[]) {
  return new Promise<CaseResult[]>((resolve, reject) => {
    const worker = new Worker(script)
    worker.onmessage = ({ data }) => resolve(data)
    worker.onerror = ({ message }) => reject(new Error(message))
    worker.postMessage(args)
  })
}

inEveryEngine(rig => {
  const script = '/standard.js'
  const results: Record<string, Map<string, unknown>> = {}

  async function runAll(server: HandshakeServer, closed: string) {
    rig.site.script(script, source(all))
    rig.site.script(
      '/standard-worker.js',
      `importScripts('${umd}', '${script}')
      onmessage = async ({ data }) => postMessage(await runCases(...data))`,
    )
    const runPage = async (page: Page, subject: Subject, worker: boolean) => {
      const args = [server.origin, closed, subject, titles(worker)] as const
      const caseResults = worker
        ? await page.evaluate(runInWorker, '/standard-worker.js', args)
        : ((await page.evaluate(`runCases(...${JSON.stringify(args)})`)) as CaseResult[])
      results[`${subject} ${worker}`] = new Map(caseResults.map(({ title, result }) => [title, result]))
    }
    for (const worker of [false, true]) {
      for (const subject of ['WebSocket', 'SteadySocket.WebSocket'] as const) {
        const page = await rig.engine.open(rig.site.page({ scripts: [umd, script] }))
        await runPage(page, subject, worker)
        await page.close()
      }
    }
  }

  test('all cases of the standard run with both classes, in a page and in a worker', async () => {
    const server = await startHandshakeServer()
    await runAll(server, `ws://127.0.0.1:${await freePort()}/`)
    await server.stop()
  })

  for (const worker of [false, true]) {
    describe(worker ? 'WebSocket in a worker' : 'WebSocket in a page', () => {
      describe.each(titles(worker))('%s', title => {
        const { standard, differs = {} } = all[title] ?? {}
        const deviation = standard === undefined ? undefined : deviations[title]?.[rig.name]
        const of = (subject: Subject) => results[`${subject} ${worker}`]?.get(title)
        const deviates = (result: unknown) =>
          typeof deviation?.instead === 'function'
            ? deviation.instead(result)
            : deviation !== undefined && isDeepStrictEqual(result, deviation.instead)

        if (standard !== undefined) {
          const orDeviates = deviation ? `, or still ${deviation.what}` : ''
          test(`the engine follows the standard${orDeviates}`, () => {
            const result = of('WebSocket')
            if (!deviates(result)) expect(result).toEqual(standard)
          })
        }
        const difference = differs.all ?? differs[rig.name]
        test(
          difference ? `our class ${difference}` : 'our class behaves like the class of the engine',
          () => {
            const [engine, own] = [of('WebSocket'), of('SteadySocket.WebSocket')]
            // A result that varies between runs may also differ between the two classes.
            const varies = typeof deviation?.instead === 'function' && !difference
            if (varies && (deviates(own) || isDeepStrictEqual(own, standard))) return
            if (differs.all || (difference && (!deviation || deviates(engine))))
              expect(own).not.toEqual(engine)
            else expect(own).toEqual(engine)
          },
        )
      })
    })
  }
})
