// Functions for the results of the benchmarks: statistics, tables, and files.
import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { peers } from './peers.mjs'
import { label, version } from './versions.mjs'

export const quantile = (values, q) => {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (sorted.length - 1) * q
  const low = Math.floor(at)
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low])
}
export const median = values => quantile(values, 0.5)

export const digits = value =>
  (Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3))).toLocaleString('en')

/** Median, and the quartiles. */
export const spread = values =>
  `${digits(median(values))} (${digits(quantile(values, 0.25))}–${digits(quantile(values, 0.75))})`

/** The ratio of turns of the same round, because other load on the machine affects both: median, and the quartiles. */
export const ratio = (values, base) =>
  spread(values.map((value, round) => value / base[round]).filter(Number.isFinite))

const row = cells => `| ${cells.join(' | ')} |`
export const table = (head, rows) =>
  [row(head), row(head.map((_, i) => (i ? '--:' : '---'))), ...rows.map(row)].join('\n')

/** The name of a library in a table. This package is in bold. */
export const title = peer => (peer.ours ? `**${label(peer)}**` : label(peer))

export const machine = () => {
  const model = cpus()[0]?.model.trim() || process.arch
  return `Node ${process.versions.node} on ${availableParallelism()} cores of ${model}, ${process.platform} ${process.arch}.`
}

/** The versions of packages that are used but not compared, for the introduction of a table. */
export const using = (...names) => names.map(name => `${name} ${version(name)}`).join(', ')

const results = new URL('results/', import.meta.url)
export const save = (name, text) => {
  mkdirSync(results, { recursive: true })
  writeFileSync(new URL(name, results), text.endsWith('\n') ? text : `${text}\n`)
  if (name.endsWith('.md')) console.log(text)
}

/** The libraries whose names match a filter from the command line, and always the one with which the others are compared. */
export const selectPeers = (filter = '', base = /^native/) =>
  peers.filter(({ name }) => new RegExp(filter).test(name) || base.test(name))
