import { defineConfig } from 'vitest/config'

const project = (name: string, environment: string, include: string[]) => ({
  extends: true as const,
  test: { name, environment, include },
})

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    projects: [
      project('node', 'node', ['test/*.test.ts', 'test/support/*.test.ts', 'test/server/*.test.ts']),
      project('page', 'jsdom', ['test/page/*.test.ts']),
    ],
  },
})
