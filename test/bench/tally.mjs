// What became of a numbered stream.

/**
 * Of the messages 0 to `sent - 1`, in the order in which they `arrived`: how many never did, how many did again, and how many
 * came after one that had been sent later. `told` holds those whose sender was told that they are lost, or may be.
 */
export const tally = (sent, arrived, told = new Set()) => {
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
  let announced = 0
  for (let number = 0; number < sent; number++) {
    if (seen.has(number)) continue
    lost++
    if (told.has(number)) announced++
  }
  return { sent, lost, told: announced, duplicated, reordered }
}

const inOrder = values => [...values].sort((a, b) => a - b)

export const median = values => {
  const sorted = inOrder(values)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** The median and, where there is one, the range. */
export const spread = (values, show = value => `${value}`) => {
  if (!values.length) return '–'
  const sorted = inOrder(values)
  const [least, most] = [show(sorted[0]), show(sorted.at(-1))]
  const middle = show(median(values))
  return least === most ? middle : `${middle} (${least}–${most})`
}
