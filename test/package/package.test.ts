// The package that npm would publish, checked by linters for packages, and used as a dependency.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { entries, namesOf, root, specifier } from './built.ts'
import { createProject, type Project } from './installed.ts'

let project: Project
let paths: string[]

beforeAll(() => {
  project = createProject()
  paths = project.packed.files.map(({ path }) => path)
})
afterAll(() => project?.remove())

const installed = (path: string) => readFileSync(`${project.home}/node_modules/steadysocket/${path}`, 'utf8')

/** The declarations that can be reached from those of the entries. */
function declarations(): string[] {
  const found = new Set(entries.flatMap(entry => [`dist/${entry}.d.ts`, `dist/${entry}.d.cts`]))
  for (const path of found) {
    const ending = path.endsWith('.d.cts') ? '.d.cts' : '.d.ts'
    for (const [, name] of installed(path).matchAll(/(?:from |import\()'(\.[\w./-]+)\.c?js'/g)) {
      found.add(posix.join(posix.dirname(path), `${name}${ending}`))
    }
  }
  return [...found]
}

/** Whether a file is in the package because the documentation links to it. */
const isDocument = (path: string) =>
  /^(demo|src|test|\.github)\/.*\.(md|svg|png|webp|html|css|ts|tsx|mjs|svelte|vue|py)$/.test(path)

describe('the npm package', () => {
  test('contains the necessary files and no others', () => {
    const code = [...entries, 'shared', 'frames', 'protobuf', 'frameworks', 'hub'].flatMap(entry =>
      ['.js', '.min.js', '.cjs'].map(ending => `dist/${entry}${ending}`),
    )
    code.push('dist/steadysocket.umd.js', 'dist/steadysocket.umd.min.js', 'dist/steadysocket.tabs-worker.js')
    const words = ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json']
    expect([...paths].filter(path => !isDocument(path)).sort()).toEqual(
      [...words, ...code, ...code.map(path => `${path}.map`), ...declarations()].sort(),
    )
  })

  test('contains what its README and its guides link to, except for tests and source code', () => {
    // The files of the repository, for maintainers.
    const isCode = (path: string) => /^(test|src)\/.*(\.ts|\/standard)$/.test(path)
    // Documents for maintainers, which link to much of the repository.
    const isForMaintainers = (path: string) => /^(\.github|src|test)\//.test(path)
    const texts = [...paths].filter(path => path.endsWith('.md') && !isForMaintainers(path))
    expect(texts.length).toBeGreaterThan(30)
    const missing = texts.flatMap(file => {
      const prose = installed(file).replace(/^ *```.*?^ *```$/gms, '')
      const targets = [...prose.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, path = '']) =>
        posix.join(posix.dirname(file), path),
      )
      const there = (path: string) => [...paths].some(one => one === path || one.startsWith(`${path}/`))
      return targets.filter(path => !isCode(path) && !there(path)).map(path => `${file}: ${path}`)
    })
    expect(missing).toEqual([])
  })

  test('is little larger than its code, source maps, declarations and documents', () => {
    const { size, files } = project.packed
    const documents = files.filter(({ path }) => isDocument(path)).reduce((all, one) => all + one.size, 0)
    const unpackedSize = project.packed.unpackedSize - documents
    expect(documents).toBeLessThan(2 ** 21)
    const sum = (kind: RegExp) =>
      files.filter(({ path }) => kind.test(path)).reduce((all, one) => all + one.size, 0)
    const kinds = { code: /\.c?js$/, maps: /\.map$/, declarations: /\.d\.c?ts$/ }
    const parts = Object.entries(kinds).map(([name, kind]) => `${name} ${sum(kind)}`)
    console.log(
      `the package: ${files.length} files, ${size} bytes packed, ${unpackedSize} unpacked: ${parts.join(', ')}, and documents ${documents}`,
    )
    expect(unpackedSize).toBeLessThan(1.1 * sum(/\.(c?js|map|d\.c?ts)$/))
  })

  test('has no install scripts and no dependencies', () => {
    const manifest = JSON.parse(installed('package.json'))
    for (const script of ['preinstall', 'install', 'postinstall', 'prepare']) {
      expect(manifest.scripts).not.toHaveProperty(script)
    }
    for (const need of ['dependencies', 'optionalDependencies', 'bundleDependencies']) {
      expect(manifest).not.toHaveProperty(need)
    }
    // npm does not install optional peer dependencies.
    for (const peer in manifest.peerDependencies) {
      expect(manifest.peerDependenciesMeta[peer]).toEqual({ optional: true })
    }
  })

  test('does not contain the path where it was built', () => {
    for (const path of paths) expect(installed(path)).not.toContain(root)
  })

  test('passes publint without a suggestion', async () => {
    const { buffer, byteOffset, byteLength } = project.packed.tarball
    const tarball = buffer.slice(byteOffset, byteOffset + byteLength)
    const { messages, pkg } = await publint({ pack: { tarball }, strict: true })
    expect(messages.map(message => formatMessage(message, pkg, { color: false }))).toEqual([])
  })

  test('has types that resolve with every module resolution', async () => {
    const analysis = await checkPackage(createPackageFromTarballData(project.packed.tarball))
    if (!analysis.types) throw new Error('it has no types')
    expect(analysis.problems).toEqual([])
    expect(Object.keys(analysis.entrypoints).sort()).toEqual(
      ['./package.json', ...entries.map(entry => (entry === 'index' ? '.' : `./${entry}`))].sort(),
    )
  })
})

describe('the installed package has every name of every entry', () => {
  /** Runs a program that lists the exports of each entry. */
  const run = (file: string, find: (entry: string) => string) => {
    const found = entries.map(entry => `${JSON.stringify(entry)}: Object.keys(${find(entry)}).sort()`)
    const path = project.write(file, `console.log(JSON.stringify({ ${found} }))`)
    return JSON.parse(execFileSync(process.execPath, [path], { cwd: project.home, encoding: 'utf8' }))
  }
  const all = Object.fromEntries(entries.map(entry => [entry, namesOf(entry)]))

  test('when it is imported by a module', () => {
    expect(run('all.mjs', entry => `await import('${specifier(entry)}')`)).toEqual(all)
  })

  test('when it is required by CommonJS', () => {
    expect(run('all.cjs', entry => `require('${specifier(entry)}')`)).toEqual(all)
  })
})
