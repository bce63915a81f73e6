import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const project = (name: string, environment: string, include: string[], more: object = {}) => ({
  extends: true as const,
  test: { name, environment, include, ...more },
})

export default defineConfig({
  test: {
    // No assertion: only what ends a run that hangs, on a machine that may be busy.
    testTimeout: 20_000,
    root: fileURLToPath(new URL('..', import.meta.url)),
    reporters: process.env.CI
      ? ['default', ['json', { outputFile: `.tmp/results-${process.pid}.json` }]]
      : ['default'],
    projects: [
      project('node', 'node', ['test/**/*.test.ts'], { exclude: ['test/page/**', 'test/browser/**'] }),
      project('page', 'jsdom', ['test/page/**/*.test.ts']),
      // Real engines, driven from Node. One file after the other: two cores cannot show three browsers at once.
      project('browser', 'node', ['test/browser/**/*.test.ts'], { fileParallelism: false }),
    ],
  },
})
