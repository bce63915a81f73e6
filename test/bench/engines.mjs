// The browsers of the tests for scripts, and a program for a page.
import { mkdirSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** The engines that the browser tests use are TypeScript. */
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

/** Makes an HTML page of a program that may import what is in this folder. */
export const makePage = async program => {
  const { outputFiles } = await build({
    stdin: { contents: program, resolveDir: fileURLToPath(new URL('.', import.meta.url)) },
    bundle: true,
    format: 'esm',
    minify: true,
    write: false,
    // What platform.mjs does, a page has.
    logLevel: 'error',
  })
  const script = outputFiles[0].text.replaceAll('</script', '<\\/script')
  return `<!doctype html><title>bench</title><script type="module">${script}</script>`
}
