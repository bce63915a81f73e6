// The targets of links in the documentation exist, and so do the tests that it names.
import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, relative, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { documents, root } from './pieces.ts'

const forMaintainers = [
  'src/README.md',
  '.github/CONTRIBUTING.md',
  '.github/SECURITY.md',
  'test/comparison/RESULTS.md',
]

const prose = (file: string) => readFileSync(root + file, 'utf8').replace(/^ *```.*?^ *```$/gms, '')

/** The anchors of a document, as GitHub makes them: the same again gets a number. */
const anchorsOf = (file: string) => {
  const times = new Map<string, number>()
  return [...prose(file).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => {
    const words = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const slug = words.replace(/[^\p{L}\p{N}\s_-]/gu, '').replace(/ /g, '-')
    const time = times.get(slug) ?? 0
    times.set(slug, time + 1)
    return time ? `${slug}-${time}` : slug
  })
}

test.each([...documents, ...forMaintainers])(
  'every link in %s leads to a file and a heading that exist',
  file => {
    const broken = [...prose(file).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)].flatMap(
      ([, path = '', anchor]) => {
        const target = path ? relative(root, resolve(root, dirname(file), path)) : file
        if (!existsSync(root + target)) return [`${path} is not there`]
        const isDocument = target.endsWith('.md') && statSync(root + target).isFile()
        return anchor && isDocument && !anchorsOf(target).includes(anchor) ? [`${path}#${anchor}`] : []
      },
    )
    expect(broken).toEqual([])
  },
)

test('the API reference links only to documents that the package contains', () => {
  const outside = documents
    .filter(file => file.startsWith('demo/docs/api/'))
    .flatMap(file => [...prose(file).matchAll(/\]\((?!https?:|#)([^)#\s]*)/g)].map(([, path = '']) => path))
    .filter(path => !/^(\.\.\/)?[\w-]+\.md$/.test(path) && path !== '../../../README.md')
  expect(outside).toEqual([])
})

test('every test that src/README.md names exists', () => {
  const named = [...prose('src/README.md').matchAll(/`(test\/[^`]+)`: \*(.+?)\*\.$/gm)]
  expect(named.length).toBe(10)
  const missing = named.flatMap(([, file = '', name = '']) => {
    const code = readFileSync(root + file, 'utf8')
    return name.split(' > ').filter(part => !code.includes(`'${part}'`))
  })
  expect(missing).toEqual([])
})
