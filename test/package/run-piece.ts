// Runs the pieces of code that the documents show, against the package as it was built.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { transformSync } from 'esbuild'
import { afterAll } from 'vitest'
import { pieceWith, root } from './pieces.ts'

const folder = `${root}.tmp/recipes-${process.pid}/`

afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Runs the piece of a document that has these words, and gives what it has made. */
export async function runPiece<Made>(file: string, words: string, names: string): Promise<Made> {
  // Packages that are too large to install are globals here, and so is what bundlers add.
  const piece = pieceWith(file, words)
    .replace(/^export /gm, '')
    .replace(/^import (\{ \w+ \}) from '(react-native|electron)'$/gm, 'const $1 = globalThis')
    .replace('import.meta.hot', 'globalThis.hot')
    .replace('// on unmount\nview.abort()', '')
  const { code } = transformSync(`${piece}\nexport { ${names} }`, { loader: 'ts' })
  mkdirSync(folder, { recursive: true })
  const path = `${folder}${Math.random().toString(36).slice(2)}.mjs`
  writeFileSync(path, code)
  return import(/* @vite-ignore */ path)
}
