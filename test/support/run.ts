// Settings that all processes of a test run share. vitest.config.ts sets them, and the other processes read them from the environment.
import { randomUUID } from 'node:crypto'
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * `quick` (`npm test`) tests everything that the package promises once. `all` is for `npm run test:all`, `npm test` with `CI=true`, and single
 * files. `soak` runs the random tests for minutes.
 */
export type Effort = 'quick' | 'all' | 'soak'

export const effort = (process.env.TEST_EFFORT ?? 'all') as Effort

/** Returns the value for the effort of this run. */
export const byEffort = <Value>(quick: Value, all: Value, soak = all): Value => ({ quick, all, soak })[effort]

/** Returns the path of a folder for this run and its processes. `runFolder` creates the folder, and the reporter removes it. */
export const nameRunFolder = (): string =>
  (process.env.TEST_RUN ??= join(tmpdir(), `steadysocket-tests-${randomUUID()}`))

/** Returns the folder of this run, and creates it if necessary. */
export function runFolder(): string {
  const folder = nameRunFolder()
  mkdirSync(folder, { recursive: true })
  return folder
}

const missingFile = () => join(runFolder(), 'missing')

/**
 * Reports that something is not installed, and how to install it. The reporter prints each message once at the end of the run. With `CI=true`,
 * throws if it could have been installed, so that no test is skipped unnoticed.
 */
export function missing(what: string, remedy: string, installable: boolean): void {
  const message = `${what} is missing: ${remedy}`
  if (installable && process.env.CI === 'true') throw new Error(message)
  appendFileSync(missingFile(), `${message}\n`)
}

export const allMissing = (): string[] =>
  existsSync(missingFile()) ? [...new Set(readFileSync(missingFile(), 'utf8').trim().split('\n'))] : []
