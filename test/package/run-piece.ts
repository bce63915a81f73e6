// Runs the code samples of the documentation with the built package.
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { afterAll } from 'vitest'
import { pieceWith, root } from './pieces.ts'

const folder = `${root}.tmp/recipes-${process.pid}/`

afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Runs the sample of a document that contains these words, and returns the named variables. `other`: replacements in the code, such as a port. */
export async function runPiece<Made>(
  file: string,
  words: string,
  names: string,
  other: Record<string, string> = {},
): Promise<Made> {
  // Packages that are too large to install, and names that bundlers add, are globals here.
  const piece = Object.entries(other)
    .reduce((code, [from, to]) => code.replaceAll(from, to), pieceWith(file, words))
    .replace(/^export /gm, '')
    .replace(/^import (\{ \w+ \}) from '(react-native|electron)'$/gm, 'const $1 = globalThis')
    .replaceAll('import.meta.hot', 'globalThis.hot')
    .replace('// on unmount\nview.abort()', '')
  // In a process of its own, because esbuild refuses to be loaded in jsdom, which has another TextEncoder.
  const transform = `process.stdout.write(require('esbuild').transformSync(require('fs').readFileSync(0, 'utf8'), { loader: 'ts' }).code)`
  const code = execFileSync(process.execPath, ['--eval', transform], {
    cwd: root,
    input: `${piece}\nexport { ${names} }`,
  })
  mkdirSync(folder, { recursive: true })
  const path = `${folder}${Math.random().toString(36).slice(2)}.mjs`
  writeFileSync(path, code)
  return import(/* @vite-ignore */ path)
}
