// Finds programs that npm cannot provide, and installs them on Debian and Ubuntu.
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { join } from 'node:path'
import { runFolder } from './run.ts'

/** Returns the first candidate that is an executable file. A name without a slash is looked up in PATH. */
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

/** Whether packages can be installed: only as root on Debian or Ubuntu, so that no password is ever needed. */
export const canInstall = (): boolean =>
  process.getuid?.() === 0 && existsSync('/etc/debian_version') && findProgram('apt-get') !== undefined

// An outdated package list names outdated programs, or files that the mirror no longer has, so the first installation of a run updates the
// list. If the update fails, the old list may still work.
const INSTALL = `updated=$1
shift
[ -e "$updated" ] || apt-get -q update || echo "apt-get update failed: installing from the list that is there"
touch "$updated"
apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@" || echo "apt-get could not install $*"`

/** Runs a program while no other process of the run installs anything. apt-get itself waits for installations by other programs. */
const runExclusively = (program: string, ...args: string[]): void => {
  const lock = join(runFolder(), 'installing')
  spawnSync('flock', [lock, program, ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

/** Returns the result of `find`. If there is none, installs these Debian or Ubuntu packages and calls `find` again. */
export function findOrInstall<Found>(
  find: () => Found | undefined,
  ...packages: string[]
): Found | undefined {
  if (!canInstall()) return find()
  // Waits for an installation by another process: until it ends, a program may exist without all of its files.
  runExclusively('true')
  const found = find()
  if (found !== undefined) return found
  process.stderr.write(`installing ${packages.join(' ')} with apt-get\n`)
  runExclusively('sh', '-c', `{ ${INSTALL}\n} >&2`, 'sh', join(runFolder(), 'apt-updated'), ...packages)
  return find()
}
