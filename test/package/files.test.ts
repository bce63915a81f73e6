import { existsSync, readFileSync } from 'node:fs'
import { SourceMap } from 'node:module'
import { dirname, relative, resolve } from 'node:path'
import { parse } from 'acorn'
import { describe, expect, test } from 'vitest'
import { dist, entries, peerOf, peers, read, root, scripts, whole } from './built.ts'

const manifest = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))

/** Every path in a part of package.json. */
const paths = (part: unknown): string[] =>
  typeof part === 'string' ? [part] : Object.values(part as object).flatMap(paths)

describe('package.json', () => {
  const { main, module, types, unpkg, jsdelivr, exports } = manifest
  const promised = [...new Set(paths([main, module, types, unpkg, jsdelivr, exports]))]

  test.each(promised)('names the file %s, which exists', path => {
    expect(existsSync(resolve(root, path))).toBe(true)
  })

  test('allows bundlers to remove unused code', () => {
    expect(manifest.sideEffects).toBe(false)
  })

  test('lists types for import and for require, each before the code', () => {
    for (const entry of entries) {
      for (const condition of ['import', 'require']) {
        expect(Object.keys(exports[entry === 'index' ? '.' : `./${entry}`][condition])).toEqual([
          'types',
          'default',
        ])
      }
    }
  })

  test('publishes the files that it names, and has no dependencies', () => {
    for (const path of promised) {
      if (path !== './package.json') expect(manifest.files).toContain(path.split('/')[1])
    }
    expect(manifest.dependencies).toBeUndefined()
  })

  test('requires no framework of those who use none', () => {
    expect(peers).toEqual(['react', 'solid-js', 'svelte', 'vue'])
    expect(manifest.peerDependenciesMeta).toEqual(
      Object.fromEntries(peers.map(peer => [peer, { optional: true }])),
    )
  })
})

/** Everything that a program imports or requires, wherever it does so. */
const importsIn = (node: any): string[] => {
  if (Array.isArray(node)) return node.flatMap(importsIn)
  if (typeof node?.type !== 'string') return []
  const isRequire = node.type === 'CallExpression' && node.callee.name === 'require'
  const source = isRequire ? node.arguments[0] : /^(Import|Export)/.test(node.type) && node.source
  const paths = source ? [source.value ?? 'a path that is computed'] : []
  return [...paths, ...Object.values(node).flatMap(importsIn)]
}

describe.each(scripts)('dist/%s', file => {
  const code = read(file)

  test('has no syntax newer than ES2020', () => {
    const sourceType = /^[\w-]+(\.min)?\.js$/.test(file) ? 'module' : 'script'
    expect(() => parse(code, { ecmaVersion: 2020, sourceType })).not.toThrow()
  })

  // https://caniuse.com/js-regexp-lookbehind: before Safari 16.4 it is a syntax error, though it is ES2018.
  test('has no lookbehind in a regular expression', () => {
    expect(code).not.toMatch(/\(\?<[=!]/)
  })

  test('calls no method that Safari 14 lacks', () => {
    expect(code).not.toMatch(
      /\.(at|findLast|findLastIndex|toSorted|toReversed|toSpliced|with|throwIfAborted|groupBy|hasOwn)\(|structuredClone\(|AbortSignal\.|randomUUID|requestIdleCallback|withResolvers|WeakRef/,
    )
  })

  // The code reads the stack of each error. This seems unnecessary, but without it, each reconnection takes 4 kB (errors.ts).
  if (whole.includes(file)) {
    test('reads the stack of a SocketError once', () => expect(code).toMatch(/\bthis\.stack\b/))
  }

  test('imports only other files of the package, by relative paths, and the framework that it is for', () => {
    const sourceType = /^[\w-]+(\.min)?\.js$/.test(file) ? 'module' : 'script'
    for (const path of importsIn(parse(code, { ecmaVersion: 2020, sourceType }))) {
      if (path.split('/')[0] === peerOf(file.split('.')[0] as string)) continue
      expect(path).toMatch(/^\.\/[\w-]+(\.min)?\.c?js$/)
      expect(scripts).toContain(path.slice(2))
    }
  })

  test('begins with name, version and licence', () => {
    expect(code.split('\n')[0]).toBe(`/*! ${manifest.name} ${manifest.version} | ${manifest.license} */`)
  })

  describe('has a source map', () => {
    const url = /\n\/\/# sourceMappingURL=(\S+)\s*$/.exec(code)?.[1] ?? 'none'
    const map = existsSync(dist + url) ? JSON.parse(read(url)) : {}

    test('that exists and belongs to it', () => {
      expect(url).toBe(`${file}.map`)
      expect(map).toMatchObject({ version: 3, file })
    })

    test('that contains the text of files in src', () => {
      if (whole.includes(file)) expect(map.sources.length).toBeGreaterThan(5)
      expect(map.sourcesContent).toHaveLength(map.sources.length)
      for (const [index, source] of map.sources.entries()) {
        const path = resolve(dist, dirname(url), map.sourceRoot ?? '', source)
        // The library of the outbox is the only third-party code in the package.
        expect(relative(root, path)).toMatch(/^(src(.[\w-]+){1,2}\.ts|node_modules.idb.build.index\.js)$/)
        expect(existsSync(path)).toBe(true)
        expect(map.sourcesContent[index]).toMatch(/\b(export|import)\b/)
      }
    })

    if (!whole.includes(file)) return
    test('that leads to the position in the source', () => {
      const lines = code.split('\n')
      const line = lines.findIndex(text => text.includes('visibilitychange'))
      const column = (lines[line] as string).indexOf('visibilitychange')
      const entry = new SourceMap(map).findEntry(line, column) as {
        originalSource: string
        originalLine: number
      }
      expect(entry.originalSource).toMatch(/src\/core\/page\.ts$/)
      const original = map.sourcesContent[map.sources.indexOf(entry.originalSource)].split('\n')
      expect(original.slice(entry.originalLine - 1, entry.originalLine + 2).join('\n')).toMatch(
        /visibilitychange/,
      )
    })
  })
})

test.each(['js', 'min.js', 'cjs'])(
  'dist/outbox.%s contains the license of idb, which it contains',
  ending => {
    expect(read(`outbox.${ending}`)).toContain('Copyright (c) 2016, Jake Archibald')
  },
)
