// TypeScript also checks the declarations of imported packages in programs for Node, which have no `lib: dom`.
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import { dist, root } from './built.ts'

const folder = `${root}.tmp/without-dom-${process.pid}/`
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** The errors of the compiler in the declarations of these entries. */
const errorsIn = (entries: string[]) => {
  mkdirSync(folder, { recursive: true })
  const program = entries.map((entry, at) => `export * as entry${at} from '${dist}${entry}.js'`).join('\n')
  writeFileSync(`${folder}program.ts`, program)
  const compilerOptions = {
    target: 'ES2022',
    lib: ['ES2022'],
    types: ['node'],
    module: 'nodenext',
    strict: true,
    noEmit: true,
    skipLibCheck: false,
  }
  writeFileSync(`${folder}tsconfig.json`, JSON.stringify({ compilerOptions, files: ['program.ts'] }))
  const args = [`${root}node_modules/typescript/bin/tsc`, '--pretty', 'false', '--project', folder]
  let output = ''
  try {
    execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
  } catch (error) {
    output = (error as { stdout: string }).stdout
  }
  return output.split('\n').filter(line => entries.some(entry => line.startsWith(`dist/${entry}`)))
}

test(
  'the declarations of the extensions compile without lib: dom',
  () => expect(errorsIn(['websocket', 'json', 'stream', 'calls', 'testing'])).toEqual([]),
  60_000,
)
