// Where the tests need a program that npm cannot bring.
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { join } from 'node:path'
import { runFolder } from './run.ts'

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

/** Only root of a Debian or Ubuntu: nobody is ever asked for a password. */
export const canInstall = (): boolean =>
  process.getuid?.() === 0 && existsSync('/etc/debian_version') && findProgram('apt-get') !== undefined

// An old list of packages would install old programs, or name files that the mirror no longer has. Whoever is first in a run
// updates it, the others wait at the lock. Without a network the old list may still do.
const UPDATE = `[ -e "$1" ] || apt-get -q update >&2 || echo "apt-get update failed: installing from the list that is there" >&2
touch "$1"`

/** Installs packages of Debian or Ubuntu, if this is one and we are root. Says whether it did. */
export function aptInstall(...packages: string[]): boolean {
  if (!canInstall()) return false
  const run = (program: string, ...args: string[]) =>
    spawnSync(program, args, {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      stdio: ['ignore', 'ignore', 'pipe'],
      encoding: 'utf8',
    })
  const updated = join(runFolder(), 'apt-updated')
  const { stderr } = run('flock', `${updated}.lock`, 'sh', '-c', UPDATE, 'sh', updated)
  if (stderr) process.stderr.write(stderr)
  console.warn(`installing ${packages.join(' ')} with apt-get`)
  // Other test files may be at it too: wait for the lock rather than fail.
  const wait = ['-o', 'DPkg::Lock::Timeout=300']
  const result = run('apt-get', '-qq', ...wait, 'install', '-y', '--no-install-recommends', ...packages)
  if (result.status !== 0) process.stderr.write(result.stderr)
  return result.status === 0
}
