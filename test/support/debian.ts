// Where the tests need a program that npm cannot bring.
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'

/** The first of these that can be executed. Without a slash, a name is looked up in PATH. */
export function findProgram(...candidates: (string | undefined)[]): string | undefined {
  const folders = (process.env.PATH ?? '').split(':')
  return candidates
    .flatMap(name => (!name ? [] : name.includes('/') ? [name] : folders.map(folder => `${folder}/${name}`)))
    .find(path => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}

/** Installs packages of Debian or Ubuntu, if this is one and we are root. Says whether it did. */
export function aptInstall(...packages: string[]): boolean {
  if (process.getuid?.() !== 0 || !existsSync('/etc/debian_version') || !findProgram('apt-get')) return false
  // Other test files may be at it too: wait for the lock rather than fail.
  const apt = (...args: string[]) =>
    spawnSync('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=300', ...args], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      stdio: ['ignore', 'ignore', 'inherit'],
    }).status === 0
  const install = () => apt('install', '-y', '--no-install-recommends', ...packages)
  console.warn(`installing ${packages.join(' ')} with apt-get`)
  return install() || (apt('update') && install())
}

/**
 * What to do about a program that is not there: a failure where a machine says that it is to run everything
 * (`CI=true`), and otherwise a loud word, after which the caller skips.
 */
export function missing(what: string, cure: string): void {
  const message = `${what} is missing: ${cure}`
  if (process.env.CI === 'true') throw new Error(message)
  console.warn(`\n*** SKIPPED: ${message}\n`)
}
