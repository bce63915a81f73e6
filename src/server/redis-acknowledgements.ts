// Acknowledgements of many sessions in one script.
import type { ScriptRunner } from './redis-runner.js'

/**
 * Scripts are at least this many milliseconds apart. The first is sent at once: its client may soon resume the session on another node, and
 * should not receive again what it has acknowledged.
 */
const INTERVAL = 5

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
  /** The last acknowledgement of each session that Redis has not answered. */
  private readonly unanswered = new Map<string, Promise<void>>()
  private timer: ReturnType<typeof setTimeout> | undefined
  private lastSent = Number.NEGATIVE_INFINITY

  constructor(scripts: ScriptRunner) {
    this.scripts = scripts
  }

  add(id: string, epoch: number, sequenceId: number): Promise<void> {
    const done = new Promise<void>((resolve, reject) =>
      this.push([{ id, epoch, sequenceId, resolve, reject }]),
    )
    this.unanswered.set(id, done)
    const forget = () => {
      if (this.unanswered.get(id) === done) this.unanswered.delete(id)
    }
    done.then(forget, forget)
    return done
  }

  /**
   * Sends the pending acknowledgements, and waits for Redis to answer that of this session. Otherwise, a script that increases the epoch could
   * overtake it, if Redis has forgotten the script for acknowledgements.
   */
  async settle(id: string): Promise<void> {
    this.flush()
    await this.unanswered.get(id)?.catch(() => {})
  }

  /** Sends the pending acknowledgements, before any other script. */
  flush(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    if (this.waiting.length) this.lastSent = performance.now()
    while (this.waiting.length) this.send(this.waiting.splice(0, PART))
  }

  private push(more: readonly Waiting[]): void {
    if (!more.length) return
    this.waiting.push(...more)
    if (this.timer) return
    const wait = this.lastSent + INTERVAL - performance.now()
    if (wait > 0) this.timer = setTimeout(() => this.flush(), wait)
    else this.flush()
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
