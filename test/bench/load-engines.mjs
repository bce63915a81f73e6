// The engines that the browser tests use are TypeScript.
import { mkdirSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../../', import.meta.url))

export const loadEngines = async () => {
  mkdirSync(`${root}.tmp`, { recursive: true })
  const outfile = `${root}.tmp/engines-${process.pid}.mjs`
  await build({
    entryPoints: [`${root}test/engines/engines.ts`],
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    outfile,
    logLevel: 'error',
  })
  return (await import(pathToFileURL(outfile))).engines()
}
