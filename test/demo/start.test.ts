// Starting the demo: its output, wrong options, and the build of the apps.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { type Demo, fetchApp, startDemo, visit } from './start.ts'

cleanUp()

const start = async (env?: NodeJS.ProcessEnv): Promise<Demo> => {
  const demo = await startDemo('server.mjs', env)
  cleanup(() => demo.kill())
  return demo
}

test('the demo prints its address, those of the apps, and how to stop it and to start several nodes, and Ctrl+C ends it without an error', async () => {
  const demo = await start()
  const { url, output } = demo
  expect(output.split(/\s+/).filter(word => word.startsWith('http'))).toEqual([
    url,
    `${url}recipes/script-tag.html`,
    `${url}spa/`,
  ])
  expect(output).toContain('Press Ctrl+C to stop.')
  expect(output).toContain('npm run start:cluster')
  await visit(demo, 'feed')
  expect(await demo.stop()).toBe(0)
})

test.each([
  [
    'the port is in use',
    async () => {
      const other = createServer().listen(0, '127.0.0.1')
      cleanup(() => other.close())
      await once(other, 'listening')
      const { port } = other.address() as AddressInfo
      return [{ PORT: `${port}` }, `Port ${port} is in use. Choose another port: PORT=`]
    },
  ],
  ['the port is not a number', async () => [{ PORT: 'http' }, 'PORT must be a whole number from 0 to 65535']],
  [
    'the address belongs to another machine',
    async () => [
      { HOST: '192.0.2.1' },
      '192.0.2.1 is not an address of this machine. Choose another one: HOST=',
    ],
  ],
] as [string, () => Promise<[NodeJS.ProcessEnv, string]>][])(
  'the demo says what to do if %s',
  async (_, prepare) => {
    const [env, message] = await prepare()
    await expect(start(env)).rejects.toThrow(message)
  },
)

test('the demo shows at once that it builds the apps, and then serves them with its Content-Security-Policy', async () => {
  const { url } = await start()
  const short = await fetch(`${url}spa/react`)
  expect([short.url, short.status]).toEqual([`${url}spa/react/`, 503])
  expect(await short.text()).toContain('<h1>Building the apps')
  const page = await fetchApp(`${url}spa/react/`)
  expect(page.headers.get('content-security-policy')).toContain("default-src 'self'")
  const html = await page.text()
  const [, script = ''] = /src="(\/spa\/assets\/[^"]+\.js)"/.exec(html) ?? []
  const code = await fetch(new URL(script, url))
  expect([code.status, code.headers.get('content-type')]).toEqual([200, 'text/javascript; charset=utf-8'])
  expect(html).not.toContain('src="./main')
  for (const path of ['spa/none.js', 'spa/../server/server.mjs', 'recipes/spa/vite.config.mjs']) {
    expect((await fetch(url + path)).status).toBe(404)
  }
})

test('the demo shows why the apps could not be built, and builds them again after that', async () => {
  const broken = encodeURIComponent(
    "if (process.argv[1]?.includes('vite')) throw new Error('a broken plugin')",
  )
  const { url } = await start({ NODE_OPTIONS: `--import=data:text/javascript,${broken}` })
  // The waiting page sends HEAD requests, which must not use up the message for the request of its reload.
  const headStatus = async (): Promise<number> => {
    const { status } = await fetch(`${url}spa/vue/`, { method: 'HEAD' })
    return status === 503 ? headStatus() : status
  }
  expect([await headStatus(), await headStatus()]).toEqual([500, 500])
  const page = await fetch(`${url}spa/vue/`)
  expect([page.status, await page.text()]).toEqual([500, expect.stringContaining('a broken plugin')])
  expect((await fetch(`${url}spa/vue/`)).status).toBe(503)
})
