// The built entry `json`, loaded as a module in a page.
import { expect, test } from 'vitest'
import type * as Core from '../../src/index.ts'
import type * as Entry from '../../src/json.ts'
import { startServer } from '../interop/ws.ts'
import { inEveryEngine } from './rig.ts'

/** Globals of the page, set by `load`. */
declare const createSocket: typeof Core.createSocket
declare const json: typeof Entry.json

/** A string, because the test runner would transform an import in a function. */
const load = `Promise.all([import('/dist/index.js'), import('/dist/json.js')]).then(all => {
  Object.assign(window, ...all)
})`

/** In the page: sends values to an echo server, and returns the events and the uncaught error. */
async function exchange(url: string) {
  const log: unknown[][] = []
  const socket = createSocket(url)
  const schema = {
    '~standard': {
      version: 1 as const,
      validate: (value: unknown) =>
        typeof value === 'number'
          ? Promise.resolve({ value: value * 2 })
          : { issues: [{ message: 'no number' }] },
    },
  }
  const values = json<number>(socket, schema)
  await new Promise<void>(resolve => {
    addEventListener('error', event => {
      event.preventDefault()
      log.push(['uncaught', event.error.message, event.error.text])
      resolve()
    })
    values.on('message', value => log.push(['message', value]))
    const unsubscribe = values.on('invalid', ({ text, issues }) => {
      log.push(['invalid', text, issues[0]?.message])
      if (text !== '{') return
      unsubscribe()
      values.send('unheard')
    })
    values.send(21)
    values.send('héllo 😀')
    socket.send('{')
  })
  socket.close()
  return log
}

inEveryEngine(rig => {
  test('json() receives values in order, and reports invalid ones, with or without a listener', async () => {
    const server = rig.keep(await startServer())
    const page = await rig.open({ scripts: [] })
    await page.evaluate(load)
    expect(await page.evaluate(exchange, server.url)).toEqual([
      ['message', 42],
      ['invalid', '"héllo 😀"', 'no number'],
      ['invalid', '{', expect.stringMatching(/JSON/)],
      ['uncaught', "on('invalid') has no listener: no number", '"unheard"'],
    ])
  })
})
