export interface Watch {
  /** Something has changed: asks again for all who wait. */
  look(): void
  /** Resolves with the first truthy answer of `find()`, asked now and at every look. Rejects with what it throws. */
  until<Found>(find: () => Found | undefined | false): Promise<Found>
}

/** Waits for sights, not for times. */
export const createWatch = (): Watch => {
  const waiting = new Set<() => void>()
  return {
    look() {
      for (const ask of waiting) ask()
    },
    until: find =>
      new Promise((resolve, reject) => {
        const ask = () => {
          try {
            const found = find()
            if (!found) return
            resolve(found)
          } catch (error) {
            reject(error)
          }
          waiting.delete(ask)
        }
        waiting.add(ask)
        ask()
      }),
  }
}
