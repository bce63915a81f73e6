// The fault proxy of the tests, for scripts. Node 20 does not run TypeScript, so it is bundled first.
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const { outputFiles } = await build({
  entryPoints: [fileURLToPath(new URL('../support/proxy.ts', import.meta.url))],
  bundle: true,
  format: 'esm',
  platform: 'node',
  write: false,
})
const [{ text }] = outputFiles

export const { startProxy } = await import(`data:text/javascript,${encodeURIComponent(text)}`)
