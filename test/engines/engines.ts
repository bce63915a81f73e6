// Finds the installed browsers, at the usual paths or at those that environment variables name.
import { existsSync, readdirSync } from 'node:fs'
import { canInstall, findOrInstall, findProgram } from '../support/debian.ts'
import { missing } from '../support/run.ts'
import { launchChromium } from './chromium.ts'
import { launchFirefox } from './firefox.ts'
import type { Engine } from './page.ts'
import { launchWebKit } from './webkit.ts'

export type { Engine, Page } from './page.ts'

export interface Launcher {
  readonly name: Engine['name']
  /** `profile`: a folder for data that must persist when the browser ends. Not in WebKit. */
  launch(profile?: string): Promise<Engine>
}

/** Finds a program. If the environment variable is set, no other path is tried, and a wrong value is an error. */
function program(variable: string, ...usual: string[]) {
  const named = process.env[variable]
  const found = named ? findProgram(named) : findProgram(...usual)
  if (named && !found) throw new Error(`${variable} is ${named}, which is no program`)
  return found
}

/** The paths of applications in macOS, installed for all users or for this one. */
const applications = (...names: string[]) =>
  names.flatMap(name =>
    ['', process.env.HOME ?? ''].map(
      home => `${home}/Applications/${name}.app/Contents/MacOS/${name === 'Firefox' ? 'firefox' : name}`,
    ),
  )

function findChromium() {
  const path = program(
    'CHROME_PATH',
    ...['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'],
    ...applications('Google Chrome', 'Chromium'),
  )
  return path ? (profile?: string) => launchChromium(path, profile) : undefined
}

function findFirefox() {
  const path = program('FIREFOX_PATH', ...['firefox-esr', 'firefox'], ...applications('Firefox'))
  return path ? (profile?: string) => launchFirefox(path, profile) : undefined
}

/** MiniBrowser is not in PATH: it is in /usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/ in Debian, /usr/libexec/webkitgtk-6.0/ in Fedora. */
function miniBrowsers() {
  const folders = (path: string) => (existsSync(path) ? readdirSync(path).map(name => `${path}/${name}`) : [])
  return ['/usr/lib', '/usr/lib64', '/usr/libexec']
    .flatMap(folders)
    .flatMap(path => (path.endsWith('-linux-gnu') ? folders(path) : path))
    .filter(path => /\/webkit2?gtk-[^/]*$/.test(path))
    .map(path => `${path}/MiniBrowser`)
}

function findWebKit() {
  const driver = program('WEBKIT_DRIVER', 'WebKitWebDriver')
  const browser = program('WEBKIT_BROWSER', ...miniBrowsers())
  const xvfb = findProgram('Xvfb')
  if (!driver || !browser || !(xvfb || process.env.DISPLAY)) return undefined
  return () => launchWebKit({ driver, browser, xvfb })
}

const supported = [
  { name: 'chromium', find: findChromium, packages: ['chromium'], variable: 'CHROME_PATH' },
  { name: 'firefox', find: findFirefox, packages: ['firefox-esr'], variable: 'FIREFOX_PATH' },
  { name: 'webkit', find: findWebKit, packages: ['webkit2gtk-driver', 'xvfb'], variable: 'WEBKIT_DRIVER' },
] as const

/**
 * Returns the available engines. As root on Debian, installs those that are missing. Otherwise, the reporter lists them at the end of the run.
 * `ENGINES=firefox,webkit` limits the tests to these engines, and `only` to one engine.
 */
export function engines(only?: Engine['name']): Launcher[] {
  const wanted = process.env.ENGINES?.split(',')
  return supported.flatMap(({ name, find, packages, variable }) => {
    if ((wanted && !wanted.includes(name)) || (only && name !== only)) return []
    const launch = findOrInstall<Launcher['launch']>(find, ...packages)
    if (launch) return [{ name, launch }]
    missing(name, `install ${packages.join(' and ')}, or name it with ${variable}`, canInstall())
    return []
  })
}
