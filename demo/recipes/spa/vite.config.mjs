// Vite serves the app with hot reload, and hands its WebSockets to the demo's server, which it starts.
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'
import { startDemo } from '../../server/server.mjs'

const built = name => fileURLToPath(new URL(`../../../dist/${name}.js`, import.meta.url))

export default defineConfig(async ({ command }) => {
  const demo = command === 'serve' ? await startDemo({ port: 0 }) : undefined
  return {
    root: fileURLToPath(new URL('.', import.meta.url)),
    // In a project of yours: npm install steadysocket, and neither of these lines.
    resolve: {
      alias: { 'steadysocket/json': built('json'), steadysocket: built('index') },
    },
    server: { host: '127.0.0.1', ...(demo && { proxy: { '/feed': { target: demo.url, ws: true } } }) },
    plugins: [{ name: 'demo', buildEnd: () => demo?.close() }],
  }
})
