// Vite serves the apps with hot reloading, and forwards their WebSockets to the demo's server, which it starts.
import { fileURLToPath } from 'node:url'
import { svelte } from '@sveltejs/vite-plugin-svelte'
import react from '@vitejs/plugin-react'
import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'
import solid from 'vite-plugin-solid'
import { startDemo } from '../../server/server.mjs'

const here = path => fileURLToPath(new URL(path, import.meta.url))

export default defineConfig(async ({ command }) => {
  const demo = command === 'serve' ? await startDemo({ port: 0 }) : undefined
  const closeDemo = ({ httpServer }) => void httpServer.once('close', () => demo.close())
  const server = { host: '127.0.0.1', ...(demo && { proxy: { '/feed': { target: demo.url, ws: true } } }) }
  return {
    root: here('.'),
    // A project needs only one of these.
    plugins: [
      react({ include: /\/react\/.*\.tsx$/ }),
      vue(),
      svelte({ configFile: false }),
      solid({ include: /\/solid\/.*\.tsx$/ }),
      { name: 'demo', configureServer: closeDemo, configurePreviewServer: closeDemo },
    ],
    // A project that has installed the package needs no alias.
    resolve: {
      alias: [
        { find: /^steadysocket$/, replacement: here('../../../dist/index.js') },
        { find: /^steadysocket\/(.*)$/, replacement: here('../../../dist/$1.js') },
      ],
    },
    server,
    preview: server,
    build: {
      rolldownOptions: {
        input: ['.', 'react', 'vue', 'svelte', 'solid'].map(folder => here(`${folder}/index.html`)),
      },
    },
  }
})
