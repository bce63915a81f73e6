// demo/docs/api/ is generated from the doc comments in src/, which must be complete.
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { reference } from '../../demo/docs/api.mjs'
import { entries, namesOf, root } from './built.ts'
import { count, gaps } from './gaps.mjs'

const folder = `${root}demo/docs/api/`

test('every public name, with each option, property and method, has a doc comment with its meaning, default and unit', () => {
  expect(count).toBeGreaterThan(90)
  expect(gaps).toEqual([])
})

test('the options of a socket, and the socket itself, have examples, which the reference repeats', () => {
  // Its code samples are compiled by documents.test.ts.
  const page = reference.get('index.md') ?? ''
  const section = (name: string) => page.split(`## ${name}\n`)[1]?.split('\n## ')[0] ?? ''
  const examplesIn = (name: string) => section(name).match(/^ *```ts$/gm)?.length ?? 0
  expect(examplesIn('SocketOptions')).toBeGreaterThan(10)
  expect(examplesIn('Socket')).toBeGreaterThan(5)
  for (const name of [
    'SendOptions',
    'HeartbeatOptions',
    'HandoverOptions',
    'createSocket',
    'onOutage',
    'backoff',
  ]) {
    expect({ name, examples: examplesIn(name) }).toEqual({
      name,
      examples: expect.toSatisfy(count => count > 0),
    })
  }
})

describe('the API reference is up to date (if not: npm run docs)', () => {
  test('and has a page for each entry', () => {
    expect([...reference.keys()].sort()).toEqual(['README.md', ...entries.map(entry => `${entry}.md`)].sort())
    expect(readdirSync(folder).sort()).toEqual([...reference.keys()].sort())
  })

  test.each([...reference])('in %s', (file, text) => {
    expect(readFileSync(folder + file, 'utf8')).toBe(text)
  })
})

test.each(entries)('every name that %s exports at run time has a heading in the reference', entry => {
  const headings = [...(reference.get(`${entry}.md`) ?? '').matchAll(/^## (\w+)$/gm)].map(([, name]) => name)
  expect(headings).toEqual(expect.arrayContaining(namesOf(entry)))
})
