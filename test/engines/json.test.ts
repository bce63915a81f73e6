// The entry as it was built, as a module in a page.
import { expect, test } from 'vitest'
import type * as Core from '../../src/index.ts'
import type * as Entry from '../../src/json.ts'
import { startServer } from '../interop/ws.ts'
import { inEveryEngine } from './rig.ts'

/** What `load` brings into the page. */
declare const createSocket: typeof Core.createSocket
declare const json: typeof Entry.json

/** A string, for an import in a function would be the test runner's. */
const load = `Promise.all([import('/dist/index.js'), import('/dist/json.js')]).then(all => {
  Object.assign(window, ...all)
})`

/** In the page: sends values to an echo, and tells what comes back, and what nobody caught. */
async function talk(url: string) {
  const story: unknown[][] = []
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
      story.push(['uncaught', event.error.message, event.error.text])
      resolve()
    })
    values.on('message', value => story.push(['message', value]))
    const leave = values.on('invalid', ({ text, issues }) => {
      story.push(['invalid', text, issues[0]?.message])
      if (text !== '{') return
      leave()
      values.send('unheard')
    })
    values.send(21)
    values.send('héllo 😀')
    socket.send('{')
  })
  socket.close()
  return story
}

inEveryEngine(rig => {
  test('receives values in order, and reports invalid ones, with or without a listener', async () => {
    const server = rig.keep(await startServer())
    const page = await rig.open({ scripts: [] })
    await page.evaluate(load)
    expect(await page.evaluate(talk, server.url)).toEqual([
      ['message', 42],
      ['invalid', '"héllo 😀"', 'no number'],
      ['invalid', '{', expect.stringMatching(/JSON/)],
      ['uncaught', "on('invalid') has no listener: no number", '"unheard"'],
    ])
  })
})
