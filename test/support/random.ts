/** A seeded random number generator. */
export interface Random {
  /** Returns a number from 0 (inclusive) to 1 (exclusive). */
  (): number
  /** Returns an integer from 0 (inclusive) to `limit` (exclusive). */
  below(limit: number): number
  /** Returns one of the elements, `undefined` if there are none. */
  of<Thing>(things: readonly Thing[]): Thing | undefined
}

/** The same seed gives the same numbers: https://github.com/bryc/code/blob/master/jshash/PRNGs.md (mulberry32). */
export const createRandom = (seed: number): Random => {
  let state = seed | 0
  const random = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number) => Math.floor(random() * limit)
  return Object.assign(random, {
    below,
    of: <Thing>(things: readonly Thing[]) => things[below(things.length)],
  })
}
