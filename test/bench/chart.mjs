// Small charts as SVG text. Their background is white, so that they are legible on a dark page, too.

const FONT = 'font-family="system-ui, sans-serif" font-size="12"'
const INK = '#1f2328'
const FAINT = '#d0d7de'
const OURS = '#0969da'
const THEIRS = '#9ea7b1'

/** Colours of the lines in a chart. The first is for this package. */
const COLOURS = [OURS, '#bc4c00', '#1a7f37', '#8250df', '#bf8700', '#cf222e', '#1b7c83', '#57606a', '#bf3989']

const encode = text =>
  `${text}`.replace(/[&<>"]/g, sign => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[sign])

const digits = value => Number(value.toPrecision(3)).toLocaleString('en', { maximumFractionDigits: 3 })

const text = (x, y, content, more = '') =>
  `<text x="${x}" y="${y}" fill="${INK}" ${more}>${encode(content)}</text>`
const line = (x1, y1, x2, y2, colour, width = 1) =>
  `<path d="M${x1} ${y1}L${x2} ${y2}" stroke="${colour}" stroke-width="${width}" fill="none"/>`

const sheet = (width, height, title, parts) =>
  `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" ${FONT}>`,
    `<title>${encode(title)}</title>`,
    `<rect width="${width}" height="${height}" rx="6" fill="#fff"/>`,
    text(16, 26, title, 'font-size="14" font-weight="600"'),
    ...parts,
    '</svg>',
  ].join('\n')}\n`

/** Round numbers from `low` to `high`: powers of ten, or steps of 1, 2 or 5 of them. */
const ticksOf = (low, high, log) => {
  if (log) {
    const ticks = []
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      ticks.push(10 ** power)
    }
    return ticks
  }
  const rough = (high - low) / 5 || 1
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].find(one => one * power >= rough) * power
  const ticks = []
  for (let tick = Math.floor(low / step); tick <= Math.ceil(high / step); tick++) ticks.push(tick * step)
  return ticks
}

/** Returns a function that maps a value to a coordinate between `from` and `to`. */
const scaleOf = (ticks, from, to, log) => {
  const at = log ? value => Math.log10(Math.max(value, ticks[0])) : value => value
  const first = at(ticks[0])
  const last = at(ticks.at(-1))
  const place = value => from + ((at(value) - first) / (last - first || 1)) * (to - from)
  return value => Number(place(value).toFixed(1))
}

/**
 * A bar chart with one bar for each row. `low` and `high` are the ends of its error bar.
 * rows: { name, value, low?, high?, ours? }[]
 */
export const bars = ({ title, unit, rows, log = false }) => {
  const width = 720
  const left = 24 + 7 * Math.max(...rows.map(({ name }) => name.length))
  const right = width - 90
  const top = 48
  const pitch = 24
  const bottom = top + rows.length * pitch
  const values = rows
    .flatMap(({ value, low = value, high = value }) => [value, low, high])
    .filter(value => !log || value > 0)
  const ticks = ticksOf(log ? Math.min(...values) : 0, Math.max(...values, log ? 1e-9 : 0), log)
  const place = scaleOf(ticks, left, right, log)
  const parts = ticks.flatMap(tick => [
    line(place(tick), top - 6, place(tick), bottom, FAINT),
    text(place(tick), bottom + 16, digits(tick), 'text-anchor="middle" font-size="11"'),
  ])
  for (const [i, { name, value, low, high, ours }] of rows.entries()) {
    const y = top + i * pitch
    const middle = y + 8
    parts.push(
      text(left - 8, middle + 4, name, `text-anchor="end"${ours ? ' font-weight="600"' : ''}`),
      `<rect x="${left}" y="${y}" width="${Math.max(1, place(value) - left).toFixed(1)}" height="16" fill="${ours ? OURS : THEIRS}"/>`,
    )
    if (low !== undefined && high !== undefined) {
      parts.push(line(place(low), middle, place(high), middle, INK, 1.5))
      for (const end of [low, high])
        parts.push(line(place(end), middle - 4, place(end), middle + 4, INK, 1.5))
    }
    parts.push(text(place(Math.max(value, high ?? value)) + 6, middle + 4, digits(value)))
  }
  parts.push(text(left, bottom + 34, `${unit}${log ? ', logarithmic' : ''}`, 'font-size="11"'))
  return sheet(width, bottom + 46, title, parts)
}

/**
 * A stacked bar chart: each row is a bar, whose parts add up to the same sum in all rows. All bars share one legend.
 * kinds: { name, colour }[]; rows: { name, values, ours? }[]
 */
export const stacks = ({ title, kinds, rows }) => {
  const width = 720
  const left = 24 + 7 * Math.max(...rows.map(({ name }) => name.length))
  const right = width - 24
  const top = 72
  const pitch = 24
  const bottom = top + rows.length * pitch
  const most = Math.max(...rows.map(({ values }) => values.reduce((all, value) => all + value, 0)))
  const place = scaleOf([0, most], left, right)
  const parts = kinds.flatMap(({ name, colour }, i) => [
    `<rect x="${left + i * 150}" y="44" width="10" height="10" fill="${colour}"/>`,
    text(left + i * 150 + 14, 53, name, 'font-size="11"'),
  ])
  for (const [i, { name, values, ours }] of rows.entries()) {
    const y = top + i * pitch
    parts.push(text(left - 8, y + 12, name, `text-anchor="end"${ours ? ' font-weight="600"' : ''}`))
    let sum = 0
    for (const [kind, value] of values.entries()) {
      const x = place(sum)
      sum += value
      const wide = place(sum) - x
      if (!value) continue
      const { colour, ink } = kinds[kind]
      parts.push(
        `<rect x="${x}" y="${y}" width="${(wide - 1).toFixed(1)}" height="16" fill="${colour}"/>`,
        `<text x="${(x + wide / 2).toFixed(1)}" y="${y + 12}" fill="${ink}" text-anchor="middle" font-size="11">${value}</text>`,
      )
    }
  }
  return sheet(width, bottom + 16, title, parts)
}

/**
 * A line chart with one line for each series. The first has the colour of this package. The names are beside the chart, in the order of the
 * last values.
 * series: { name, points: [x, y][] }[]; `log`: both axes are logarithmic.
 */
export const lines = ({ title, x, y, series, log = false }) => {
  const width = 720
  const height = 380
  const [left, top, bottom] = [64, 48, height - 56]
  const right = width - 32 - 6.5 * Math.max(...series.map(({ name }) => name.length))
  const drawn = series.map(({ name, points }, i) => ({
    name,
    colour: COLOURS[i % COLOURS.length],
    dashed: i >= COLOURS.length,
    points: points.filter(([a, b]) => !log || (a > 0 && b > 0)),
  }))
  const all = drawn.flatMap(({ points }) => points)
  const ticksFor = i => {
    const values = all.map(point => point[i])
    return ticksOf(log ? Math.min(...values) : Math.min(0, ...values), Math.max(...values), log)
  }
  const [across, up] = [ticksFor(0), ticksFor(1)]
  const [toX, toY] = [scaleOf(across, left, right, log), scaleOf(up, bottom, top, log)]
  const parts = [
    ...across.flatMap(tick => [
      line(toX(tick), top, toX(tick), bottom, FAINT),
      text(toX(tick), bottom + 16, digits(tick), 'text-anchor="middle" font-size="11"'),
    ]),
    ...up.flatMap(tick => [
      line(left, toY(tick), right, toY(tick), FAINT),
      text(left - 6, toY(tick) + 4, digits(tick), 'text-anchor="end" font-size="11"'),
    ]),
    text((left + right) / 2, height - 18, x, 'text-anchor="middle" font-size="11"'),
    text(left - 48, top - 8, y, 'font-size="11"'),
  ]
  for (const { points, colour, dashed } of drawn) {
    const path = points.map(([a, b]) => `${toX(a)} ${toY(b)}`).join('L')
    parts.push(
      `<path d="M${path}" stroke="${colour}" stroke-width="2" fill="none"${dashed ? ' stroke-dasharray="4 3"' : ''}/>`,
    )
  }
  let below = top - 14
  const names = drawn
    .filter(({ points }) => points.length)
    .map(one => ({ ...one, end: toY(one.points.at(-1)[1]) }))
    .sort((a, b) => a.end - b.end)
  // Room is kept under the names that are to come.
  for (const [i, { name, colour, end }] of names.entries()) {
    below = Math.min(Math.max(end, below + 14), bottom - 14 * (names.length - 1 - i))
    parts.push(`<rect x="${right + 8}" y="${below - 5}" width="10" height="10" fill="${colour}"/>`)
    parts.push(
      text(right + 22, below + 4, name, `font-size="11"${colour === OURS ? ' font-weight="600"' : ''}`),
    )
  }
  return sheet(width, height, title, parts)
}
