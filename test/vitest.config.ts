import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import Report from './support/reporter.ts'
import { type Effort, nameRunFolder } from './support/run.ts'

/** What an engine shows of the promises of the package, for every run. */
const BRIEF = ['half-open', 'handover', 'messages', 'outages', 'tail'].join()

/** Compilers, bundlers, other packages and other languages, several processes at a time: for `npm run test:all`, and for a change to what they test. */
const LONG = [
  'bench/*',
  'comparison/*',
  'demo/*',
  'interop/{calls-reliable,guide-servers,guides,outbox-plain,recipes,redis-faults,redis-topologies,reliable-nodes,reliable-pairs,reliable-python,server-redis,server-redis-store}',
  'package/{bundlers,declarations,recipes,release,samples,site}',
].map(name => `test/${name}.test.ts`)

const project = (name: string, environment: string, include: string[], more: object = {}) => ({
  extends: true as const,
  test: { name, environment, include, ...more },
})

export default defineConfig(({ mode }) => {
  // The mode is the only thing that npm scripts can say in the same way on every system. Without one, whoever names a file gets all of it.
  const quick = mode === 'quick' && process.env.CI !== 'true'
  const effort: Effort = mode === 'soak' ? 'soak' : quick ? 'quick' : 'all'
  // Vitest evaluates this file again for each project, with the mode `test`.
  process.env.TEST_EFFORT ??= effort
  nameRunFolder()

  return {
    test: {
      // No assertion: only what ends a run that hangs, on a machine that may be busy.
      testTimeout: 300_000,
      hookTimeout: 300_000,
      root: fileURLToPath(new URL('..', import.meta.url)),
      silent: 'passed-only',
      // Many tests wait for timers, servers and browsers, so a small machine can run more files at a time than it has cores.
      maxWorkers: Math.max(3, availableParallelism() - 1),
      reporters: [new Report()],
      projects: [
        project('node', 'node', ['test/**/*.test.ts'], {
          exclude: ['test/jsdom/**', 'test/engines/**', ...(quick ? LONG : [])],
        }),
        project('jsdom', 'jsdom', ['test/jsdom/**/*.test.ts']),
        // Real engines, driven from Node. They wait for most of the time, and no clock of theirs is compared with one of ours.
        project(
          'engines',
          'node',
          [quick ? `test/engines/{${BRIEF}}.test.ts` : 'test/engines/**/*.test.ts'],
          {
            maxWorkers: 4,
            sequence: { groupOrder: 1 },
          },
        ),
      ],
    },
  }
})
