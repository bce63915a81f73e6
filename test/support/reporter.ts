// What a run of the tests prints: a line for each project, failures in full, what was skipped and how to get it, and one line of
// sums at the very end.
import { rmSync } from 'node:fs'
import { DefaultReporter, type TestCase, type TestModule, type TestSpecification } from 'vitest/node'
import { allMissing, effort, runFolder } from './run.ts'

interface Sum {
  passed: number
  failed: number
  skipped: number
}

const count = (tests: Iterable<TestCase>): Sum => {
  const sum = { passed: 0, failed: 0, skipped: 0 }
  for (const test of tests) {
    const { state } = test.result()
    if (state !== 'pending') sum[state]++
  }
  return sum
}

function* allTests(modules: readonly TestModule[]) {
  for (const { children } of modules) yield* children.allTests()
}

export default class Report extends DefaultReporter {
  /** The modules of each project that have not ended. */
  readonly #left = new Map<string, number>()
  readonly #ended = new Map<string, TestModule[]>()
  #began = 0

  constructor() {
    // What a test prints is of interest when it fails.
    super({ silent: 'passed-only' })
  }

  override onTestRunStart(specifications: readonly TestSpecification[]): void {
    super.onTestRunStart(specifications)
    this.#began = performance.now()
    for (const { project } of specifications) {
      this.#left.set(project.name, (this.#left.get(project.name) ?? 0) + 1)
    }
  }

  override onTestModuleEnd(module: TestModule): void {
    super.onTestModuleEnd(module)
    const { name } = module.project
    const ended = [...(this.#ended.get(name) ?? []), module]
    this.#ended.set(name, ended)
    const left = (this.#left.get(name) ?? 0) - 1
    this.#left.set(name, left)
    if (left > 0) return
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
    const sum = count(tests)
    // A file that could not be loaded, or an error outside every test, is a failure as well.
    const broken = modules.filter(module => module.errors().length > 0).length + errors.length
    this.log(`${sum.passed} passed, ${sum.failed + broken} failed, ${sum.skipped} skipped`)
    rmSync(runFolder(), { recursive: true, force: true })
  }

  /** One line for each reason. */
  #printSkipped(tests: readonly TestCase[]) {
    const reasons = new Map<string, number>()
    for (const test of tests) {
      const result = test.result()
      if (result.state !== 'skipped') continue
      // What a whole block needs is said where it is looked for: NOT TESTED.
      const reason = result.note ?? `in ${this.relative(test.module.moduleId)}`
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
    }
    for (const [reason, times] of reasons) this.log(`SKIPPED, ${times}: ${reason}`)
  }
}
