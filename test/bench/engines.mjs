// Starts the browsers that the tests use, and builds pages, for scripts.
import { mkdirSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** Bundles the launchers of the browser tests, because they are written in TypeScript. */
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

/** Bundles a program, which may import modules of this folder, into an HTML page. */
export const makePage = async program => {
  const { outputFiles } = await build({
    stdin: { contents: program, resolveDir: fileURLToPath(new URL('.', import.meta.url)) },
    bundle: true,
    format: 'esm',
    minify: true,
    write: false,
    // A page does not need the replacements in platform.mjs.
    logLevel: 'error',
  })
  const script = outputFiles[0].text.replaceAll('</script', '<\\/script')
  return `<!doctype html><title>bench</title><script type="module">${script}</script>`
}
