export interface Watch {
  /** Evaluates all pending conditions again. To be called after each change. */
  look(): void
  /** Resolves with the first truthy result of `find()`, which runs now and at each `look()`. Rejects with what it throws. */
  until<Found>(find: () => Found | undefined | false): Promise<Found>
}

/** Lets a test wait for a condition instead of a period of time. */
export const createWatch = (): Watch => {
  const waiting = new Set<() => void>()
  return {
    look() {
      for (const evaluate of waiting) evaluate()
    },
    until: find =>
      new Promise((resolve, reject) => {
        const evaluate = () => {
          try {
            const found = find()
            if (!found) return
            resolve(found)
          } catch (error) {
            reject(error)
          }
          waiting.delete(evaluate)
        }
        waiting.add(evaluate)
        evaluate()
      }),
  }
}
