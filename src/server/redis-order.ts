/**
 * Keeps the commits of a node in the order of the calls. They are sent without waiting for each other, and usually run in that order. If
 * Redis has lost its scripts, it refuses some commits, and may already run later ones. Those must wait.
 */
export class Order {
  private next = 1
  /** The places of commits that have not been answered, the first one first. */
  private readonly open = new Set<number>()
  private readonly waiting = new Map<number, () => void>()

  take(): number {
    this.open.add(this.next)
    return this.next++
  }

  /** Resolves when all commits before this place have succeeded or failed. */
  async turn(place: number): Promise<void> {
    if (this.first !== place) await new Promise<void>(resolve => this.waiting.set(place, resolve))
  }

  done(place: number): void {
    this.open.delete(place)
    const { first } = this
    if (first === undefined) return
    this.waiting.get(first)?.()
    this.waiting.delete(first)
  }

  private get first(): number | undefined {
    return this.open.values().next().value
  }
}
