// Counts the lost, duplicated and reordered messages of a numbered stream.

/**
 * The messages have the numbers 0 to `sent - 1`. `arrived` has the numbers in the order of arrival. Counts the messages that never arrived, those
 * that arrived again, and those that arrived after a message with a higher number. `reported` contains the messages that were reported to their
 * sender as lost, or possibly lost.
 */
export const tally = (sent, arrived, reported = new Set()) => {
  const seen = new Set()
  let duplicated = 0
  let reordered = 0
  let last = -1
  for (const number of arrived) {
    if (seen.has(number)) {
      duplicated++
      continue
    }
    seen.add(number)
    if (number < last) reordered++
    else last = number
  }
  let lost = 0
  let reportedLost = 0
  for (let number = 0; number < sent; number++) {
    if (seen.has(number)) continue
    lost++
    if (reported.has(number)) reportedLost++
  }
  return { sent, lost, reported: reportedLost, duplicated, reordered }
}

const inOrder = values => [...values].sort((a, b) => a - b)

export const median = values => {
  const sorted = inOrder(values)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** The median, and the range if the values differ. */
export const spread = (values, show = value => `${value}`) => {
  if (!values.length) return '–'
  const sorted = inOrder(values)
  const [least, most] = [show(sorted[0]), show(sorted.at(-1))]
  const middle = show(median(values))
  return least === most ? middle : `${middle} (${least}–${most})`
}
