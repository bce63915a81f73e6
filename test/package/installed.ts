// The package as npm publishes it, installed in a project.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { peers, root } from './built.ts'

export interface Packed {
  readonly size: number
  readonly unpackedSize: number
  readonly files: readonly { readonly path: string; readonly size: number }[]
  /** The tarball itself. */
  readonly tarball: Buffer<ArrayBuffer>
}

export interface Project {
  /** The folder of the project, which has the package and the frameworks in its `node_modules`. */
  readonly home: string
  readonly packed: Packed
  /** Writes a file of the project, and gives its path. */
  write(name: string, text: string): string
  remove(): void
}

export function createProject(): Project {
  const home = mkdtempSync(`${tmpdir()}/steadysocket-`)
  // No scripts: they would build dist/ while other tests read it.
  const said = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', home], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  // A list in npm 11, by name in some others.
  const [{ filename, ...packed }] = Object.values<any>(JSON.parse(said)) as [any]
  execFileSync('tar', ['-xzf', filename], { cwd: home })
  mkdirSync(`${home}/node_modules`)
  renameSync(`${home}/package`, `${home}/node_modules/steadysocket`)
  for (const peer of peers) symlinkSync(`${root}node_modules/${peer}`, `${home}/node_modules/${peer}`, 'dir')

  const write = (name: string, text: string) => {
    writeFileSync(`${home}/${name}`, text)
    return `${home}/${name}`
  }
  write('package.json', JSON.stringify({ type: 'module', dependencies: { steadysocket: packed.version } }))
  return {
    home,
    packed: { ...packed, tarball: readFileSync(`${home}/${filename}`) },
    write,
    remove: () => rmSync(home, { recursive: true, force: true }),
  }
}
