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

// An old list of packages would install old programs, or name files that the mirror no longer has: the first of a run to install something
// updates it. Without a network the old list may still do.
const INSTALL = `updated=$1
shift
[ -e "$updated" ] || apt-get -q update || echo "apt-get update failed: installing from the list that is there"
touch "$updated"
apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@" || echo "apt-get could not install $*"`

/** Runs this when no other process of the run is installing. Other programs' installations are waited for as well, by apt-get. */
const alone = (program: string, ...args: string[]): void => {
  const lock = join(runFolder(), 'installing')
  spawnSync('flock', [lock, program, ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

/** What `find` finds, if need be after these packages of Debian or Ubuntu have been installed. */
export function findOrInstall<Found>(
  find: () => Found | undefined,
  ...packages: string[]
): Found | undefined {
  if (!canInstall()) return find()
  // While somebody installs it, a program may be there and lack its other half.
  alone('true')
  const found = find()
  if (found !== undefined) return found
  process.stderr.write(`installing ${packages.join(' ')} with apt-get\n`)
  alone('sh', '-c', `{ ${INSTALL}\n} >&2`, 'sh', join(runFolder(), 'apt-updated'), ...packages)
  return find()
}
