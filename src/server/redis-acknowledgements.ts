// Acknowledgements of many sessions in one script.
import type { ScriptRunner } from './redis-runner.js'

/** Acknowledgements that come within so many milliseconds share a script. */
const DELAY = 5

/** The number of sessions in one script. */
const PART = 200

interface Waiting {
  readonly id: string
  readonly epoch: number
  readonly sequenceId: number
  resolve(): void
  reject(error: unknown): void
}

export class Acknowledgements {
  private readonly scripts: ScriptRunner
  private waiting: Waiting[] = []
  private timer: ReturnType<typeof setTimeout> | undefined

  constructor(scripts: ScriptRunner) {
    this.scripts = scripts
  }

  add(id: string, epoch: number, sequenceId: number): Promise<void> {
    return new Promise((resolve, reject) => this.push([{ id, epoch, sequenceId, resolve, reject }]))
  }

  /** Sends what waits, before whatever comes next. */
  flush(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    while (this.waiting.length) this.send(this.waiting.splice(0, PART))
  }

  private push(more: readonly Waiting[]): void {
    if (!more.length) return
    this.waiting.push(...more)
    this.timer ??= setTimeout(() => this.flush(), DELAY)
  }

  private async send(part: readonly Waiting[]): Promise<void> {
    const args = part.flatMap(({ id, epoch, sequenceId }) => [id, epoch, sequenceId])
    try {
      const left = (await this.scripts.run('acknowledge', '', 0, ...args)) as number[]
      part.forEach(({ resolve }, i) => {
        if (left[i] === 0) resolve()
      })
      this.push(part.filter((_, i) => left[i] !== 0))
    } catch (error) {
      for (const { reject } of part) reject(error)
    }
  }
}
