import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

/** What depends on when things happen, or on memory. */
const PUNCTUAL = ['half-open', 'outages', 'page-life', 'soak', 'tail'].map(
  name => `test/engines/${name}.test.ts`,
)

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
      project('node', 'node', ['test/**/*.test.ts'], { exclude: ['test/jsdom/**', 'test/engines/**'] }),
      project('page', 'jsdom', ['test/jsdom/**/*.test.ts']),
      // Real engines, driven from Node. Where nothing is measured two files at a time: they wait for most of it. The others one
      // after the other, for two cores cannot be punctual for two.
      project('engines', 'node', ['test/engines/**/*.test.ts'], {
        exclude: PUNCTUAL,
        maxWorkers: 2,
        sequence: { groupOrder: 1 },
      }),
      project('punctual', 'node', PUNCTUAL, { fileParallelism: false, sequence: { groupOrder: 2 } }),
    ],
  },
})
