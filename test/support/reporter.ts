// Prints a line for each project, all failures, the tests that were skipped with the reason, what is missing and how to install it, and
// one line with the totals at the end.
import { rmSync } from 'node:fs'
import { DefaultReporter, type TestCase, type TestModule, type TestSpecification } from 'vitest/node'
import { allMissing, effort, runFolder } from './run.ts'

interface Totals {
  passed: number
  failed: number
  skipped: number
}

const count = (tests: Iterable<TestCase>): Totals => {
  const totals = { passed: 0, failed: 0, skipped: 0 }
  for (const test of tests) {
    const { state } = test.result()
    if (state !== 'pending') totals[state]++
  }
  return totals
}

function* allTests(modules: readonly TestModule[]) {
  for (const { children } of modules) yield* children.allTests()
}

export default class Report extends DefaultReporter {
  /** The number of modules of each project that have not ended. */
  readonly #pending = new Map<string, number>()
  readonly #ended = new Map<string, TestModule[]>()
  #began = 0

  constructor() {
    // Prints only the output of tests that fail.
    super({ silent: 'passed-only' })
  }

  override onTestRunStart(specifications: readonly TestSpecification[]): void {
    super.onTestRunStart(specifications)
    this.#began = performance.now()
    for (const { project } of specifications) {
      this.#pending.set(project.name, (this.#pending.get(project.name) ?? 0) + 1)
    }
  }

  override onTestModuleEnd(module: TestModule): void {
    super.onTestModuleEnd(module)
    const { name } = module.project
    const ended = [...(this.#ended.get(name) ?? []), module]
    this.#ended.set(name, ended)
    const pending = (this.#pending.get(name) ?? 0) - 1
    this.#pending.set(name, pending)
    if (pending > 0) return
    const { passed, failed, skipped } = count(allTests(ended))
    const seconds = ((performance.now() - this.#began) / 1_000).toFixed(0)
    this.log(`${name}: ${passed} passed, ${failed} failed, ${skipped} skipped, after ${seconds} s`)
  }

  protected override printTestModule(module: TestModule): void {
    if (module.state() === 'failed') super.printTestModule(module)
  }

  protected override printTestCase(state: never, test: TestCase): void {
    if (test.result().state === 'failed') super.printTestCase(state, test)
  }

  override onTestRunEnd(...[modules, errors, reason]: Parameters<DefaultReporter['onTestRunEnd']>): void {
    super.onTestRunEnd(modules, errors, reason)
    const tests = [...allTests(modules)]
    for (const message of allMissing()) this.log(`NOT TESTED: ${message}`)
    this.#printSkipped(tests)
    if (effort === 'quick') this.log('Only the short tests ran: npm run test:all runs all.')
    const totals = count(tests)
    // Files that failed to load and errors outside of tests count as failures.
    const broken = modules.filter(module => module.errors().length > 0).length + errors.length
    this.log(`${totals.passed} passed, ${totals.failed + broken} failed, ${totals.skipped} skipped`)
    rmSync(runFolder(), { recursive: true, force: true })
  }

  /** Prints one line for each reason. */
  #printSkipped(tests: readonly TestCase[]) {
    const reasons = new Map<string, number>()
    for (const test of tests) {
      const result = test.result()
      if (result.state !== 'skipped') continue
      // A skipped `describe` block has no note: what it needs is printed as NOT TESTED.
      const reason = result.note ?? `in ${this.relative(test.module.moduleId)}`
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
    }
    for (const [reason, times] of reasons) this.log(`SKIPPED, ${times}: ${reason}`)
  }
}
