// Counts the messages of a numbered stream: arrived, missing, duplicated, late. Used by the page and by the server.

/** If more numbers than this are missing, the oldest are forgotten. If one of those arrives after all, it counts as a duplicate. */
const remembered = 2_000

/** `start`: the number before the first one that is expected. Without it, the first number that arrives is the first one. */
export const createTally = start => {
  const missing = new Set()
  const counts = { arrived: 0, lost: 0, twice: 0, late: 0, last: start ?? 0 }
  let begun = start !== undefined

  return {
    counts,
    /** Counts a number, and returns what it was: `'arrived'`, `'late'` (out of order) or `'twice'`. */
    note(n) {
      if (!begun) counts.last = n - 1
      begun = true
      if (n > counts.last) {
        counts.lost += n - counts.last - 1
        for (let gone = Math.max(counts.last + 1, n - remembered); gone < n; gone++) missing.add(gone)
        for (const oldest of missing) {
          if (missing.size <= remembered) break
          missing.delete(oldest)
        }
        counts.last = n
      } else if (missing.delete(n)) {
        counts.lost--
        counts.late++
        counts.arrived++
        return 'late'
      } else {
        counts.twice++
        return 'twice'
      }
      counts.arrived++
      return 'arrived'
    },
  }
}
