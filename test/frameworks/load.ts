// Builds the apps, and runs them in a page or on a server. In processes of their own, because Vite does not run in jsdom.
import { execFileSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { afterAll } from 'vitest'
import { root } from '../package/pieces.ts'
import type { AppProps } from './apps/contract.ts'

export const frameworks = ['react', 'vue', 'svelte', 'solid'] as const
export type Framework = (typeof frameworks)[number]

const ENDINGS = { react: 'tsx', vue: 'ts', svelte: 'ts', solid: 'tsx' }

const node = (...args: string[]) =>
  execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 25 })

/** Builds a module, and returns its code. A file of the name of a framework is compiled for that. */
export const buildCode = (path: string, ...options: string[]): string =>
  node('test/frameworks/build.mjs', path, ...options)

/** A module of its own each time, so that nothing is left of earlier tests. */
export const importCode = <Module>(code: string): Promise<Module> =>
  import(/* @vite-ignore */ `data:text/javascript,${encodeURIComponent(`${code}\n//${Math.random()}`)}`)

const apps = `${root}test/frameworks/apps/`

/** The path of an app. */
export const appFile = (name: Framework): string => `${apps}${name}.${ENDINGS[name]}`

/** What a server did: what it rendered, and what was left when it had. */
export interface Rendered {
  readonly html: string
  /** The script that has to run in the page before the app. */
  readonly script: string
  /** How many connections were made. */
  readonly attempts: number
  /** The delays of all timers but those that Solid sets for the next task. */
  readonly timers: number[]
}

const servers = `${root}.tmp/servers-${process.pid}/`
afterAll(() => rmSync(servers, { recursive: true, force: true }))

/** The folder of an app as it is built for a server: once for all tests of a file. */
const buildServer = (name: Framework): string => {
  const folder = `${servers}${name}/`
  if (!existsSync(folder)) buildCode(`${apps}${name}-server.${ENDINGS[name]}`, '--server', '--into', folder)
  return folder
}

/** Renders an app on a server: in Node, with a `WebSocket` that counts. */
export const renderOnServer = (name: Framework, props: AppProps): Rendered => {
  const folder = buildServer(name)
  const program = `
    let attempts = 0
    globalThis.WebSocket = class { constructor() { attempts++ } }
    const { render, script = '' } = await import('${folder}index.js')
    const timers = []
    const { setTimeout } = globalThis
    globalThis.setTimeout = (job, delay = 0) => {
      if (delay) timers.push(delay)
      return setTimeout(job, delay)
    }
    const html = await render(${JSON.stringify(props)})
    console.log(JSON.stringify({ html, script, attempts, timers }))`
  return JSON.parse(node('--input-type=module', '--eval', program))
}
