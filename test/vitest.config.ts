import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const project = (name: string, environment: string, include: string[], exclude: string[] = []) => ({
  extends: true as const,
  test: { name, environment, include, exclude },
})

export default defineConfig({
  test: {
    root: fileURLToPath(new URL('..', import.meta.url)),
    projects: [
      project('node', 'node', ['test/**/*.test.ts'], ['test/page/**', 'test/browser/**']),
      project('page', 'jsdom', ['test/page/**/*.test.ts']),
    ],
  },
})
