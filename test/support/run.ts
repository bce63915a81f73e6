// What all processes of one run of the tests agree on. vitest.config.ts decides it, the others read it from the environment.
import { randomUUID } from 'node:crypto'
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * `quick` is `npm test`: every promise of the package once. `all` is `npm run test:all`, `npm test` with `CI=true`, and a file by its name.
 * `soak` repeats for minutes what happens at random.
 */
export type Effort = 'quick' | 'all' | 'soak'

export const effort = (process.env.TEST_EFFORT ?? 'all') as Effort

/** One of these numbers, or whatever it may be, by the effort of this run. */
export const byEffort = <Value>(quick: Value, all: Value, soak = all): Value => ({ quick, all, soak })[effort]

/** Names a folder for this run and the processes that it starts. It is made by who needs it first, and removed at the end of the run. */
export const nameRunFolder = (): string =>
  (process.env.TEST_RUN ??= join(tmpdir(), `steadysocket-tests-${randomUUID()}`))

export function runFolder(): string {
  const folder = nameRunFolder()
  mkdirSync(folder, { recursive: true })
  return folder
}

const missingFile = () => join(runFolder(), 'missing')

/**
 * Something that this run does without, and how to get it: among the last things that the run prints, each once. With `CI=true` it is a
 * failure where it could have been installed, so that nothing goes untested for years.
 */
export function missing(what: string, cure: string, installable: boolean): void {
  const message = `${what} is missing: ${cure}`
  if (installable && process.env.CI === 'true') throw new Error(message)
  appendFileSync(missingFile(), `${message}\n`)
}

export const allMissing = (): string[] =>
  existsSync(missingFile()) ? [...new Set(readFileSync(missingFile(), 'utf8').trim().split('\n'))] : []
