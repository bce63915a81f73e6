// `npm run site`: copies the documents into .tmp/ with links that lead to the pages of the site, and has VitePress build it. The result is in
// demo/docs/.vitepress/dist, or in the folder that the argument names.
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, posix, resolve } from 'node:path'
import { stacks } from '../../../test/bench/chart.mjs'
import { pages, read, repository, root } from './pages.mjs'

const staged = join(root, `.tmp/site-${process.pid}`)
process.env.SITE_SOURCE = staged
process.env.SITE_OUT = resolve(process.argv[2] ?? join(root, 'demo/docs/.vitepress/dist'))
// Without this, VitePress reports its progress with control characters.
process.env.CI ??= 'true'

/** Colours of the charts that are fixed in their files, and those of the theme, which has a dark mode. */
const COLOURS = {
  '#fff': 'var(--vp-c-bg-soft)',
  '#1f2328': 'var(--vp-c-text-1)',
  '#d0d7de': 'var(--vp-c-divider)',
  '#9ea7b1': 'var(--chart-others)',
  '#0969da': 'var(--chart-ours)',
  '#57606a': 'var(--vp-c-text-2)',
  '#bc4c00': 'var(--chart-orange)',
  '#1a7f37': 'var(--chart-green)',
  '#8250df': 'var(--chart-purple)',
  '#bf8700': 'var(--chart-yellow)',
  '#cf222e': 'var(--chart-red)',
  '#1b7c83': 'var(--chart-teal)',
  '#bf3989': 'var(--chart-pink)',
}

/** A chart as part of a page, so that it follows the theme, and can be scrolled on a phone. */
const figure = svg => {
  const themed = svg.replace(/#(?:[0-9a-f]{6}|fff)\b/g, colour => COLOURS[colour] ?? colour)
  return `<figure class="chart" tabindex="0" v-pre>\n${themed.trim()}\n</figure>`
}

const results = 'test/bench/results'
const charts = readdirSync(join(root, results)).filter(name => name.endsWith('.svg'))

/** The charts of a page of measurements. The index has all of them, with links to their pages. */
const chartsOf = file => {
  const name = posix.basename(file, '.md')
  if (name !== 'README')
    return charts
      .filter(chart => chart === `${name}.svg` || chart.startsWith(`${name}-`))
      .map(show)
      .join('\n\n')
  const pageOf = chart => /^[a-z]+(-open)?/.exec(chart)?.[0]
  const names = [...new Set(charts.map(pageOf))]
  return names
    .map(page => {
      const [, title] = /^# (.*)$/m.exec(read(`${results}/${page}.md`)) ?? []
      return `## ${title}\n\n${charts
        .filter(chart => pageOf(chart) === page)
        .map(show)
        .join('\n\n')}\n\n[Numbers](./${page}.md)`
    })
    .join('\n\n')
}
const show = chart => figure(read(`${results}/${chart}`))

/** With how many situations each library copes, from the first table of the comparison. */
const comparisonChart = text => {
  const scores = [...text.matchAll(/^\| ([^|]+) \|((?: (?:\d+\/\d+|–) \|)+)$/gm)].map(([, name, cells]) => {
    const pairs = [...cells.matchAll(/(\d+)\/(\d+)/g)]
    const sum = at => pairs.reduce((all, pair) => all + Number(pair[at]), 0)
    return { name, copes: sum(1), applies: sum(2) }
  })
  if (scores.length < 10) throw new Error('The comparison has no table of scores')
  const all = text.match(/^\| .* \|(?: (?:✓|✗|–)[^|]*\|)+$/gm).length
  const svg = stacks({
    title: `Each library in ${all} situations`,
    kinds: [
      { name: 'copes', colour: 'var(--chart-ours)', ink: 'var(--chart-ink)' },
      { name: 'does not', colour: 'var(--chart-fails)', ink: 'var(--chart-ink)' },
      { name: 'does not apply', colour: 'var(--vp-c-divider)', ink: 'var(--vp-c-text-1)' },
    ],
    rows: scores.map(({ name, copes, applies }) => ({
      name,
      ours: name.startsWith('steadysocket'),
      values: [copes, applies - copes, all - applies],
    })),
  })
  return figure(svg)
}

/** A diagram as a table of its arrows, which needs no further library and can be read aloud. */
const arrows = (_, code) => {
  const names = new Map([...code.matchAll(/(\w+)\["([^"]*)"\]/g)].map(([, id, name]) => [id, name]))
  const rows = [...code.matchAll(/^ *(\[\*\]|\w+)(?:\[[^\]]*\])? --> (\w+)(?:\[[^\]]*\])?(?:: (.*))?$/gm)]
  const name = id => (id === '[*]' ? '(new)' : `\`${names.get(id) ?? id}\``)
  const labelled = rows.some(([, , , label]) => label)
  return [
    labelled ? '| from | to | when |\n|---|---|---|' : '| module | imports |\n|---|---|',
    ...rows.map(
      ([, from, to, label]) => `| ${name(from)} | ${name(to)} |${labelled ? ` ${label ?? ''} |` : ''}`,
    ),
  ].join('\n')
}

/** Copies a file that a page shows or links to. The pages of all folders share it. */
const publish = file => {
  const name = posix.basename(file)
  mkdirSync(join(staged, 'public/files'), { recursive: true })
  cpSync(join(root, file), join(staged, 'public/files', name))
  return `/files/${name}`
}

const link = (file, whole, text, path, anchor = '') => {
  if (!path) return whole
  const target = posix.join(posix.dirname(file), path)
  const page = pages.get(target)
  if (page) return `[${text}](/${page}${anchor})`
  if (/\.(png|webp|svg)$/.test(target)) return `[${text}](${publish(target)})`
  if (!existsSync(join(root, target))) throw new Error(`${file} links to ${target}, which does not exist`)
  const kind = statSync(join(root, target)).isDirectory() ? 'tree' : 'blob'
  // Code is in the repository. As long as nobody knows where that is, there is nothing to link to.
  return repository ? `[${text}](${repository}/${kind}/main/${target}${anchor})` : text
}

const rewrite = (file, text) =>
  text
    .replace(/^```mermaid\n(.*?)^```$/gms, arrows)
    .split(/(^ *```.*?^ *```$)/ms)
    .map((part, at) =>
      at % 2
        ? part
        : part.replace(/\[((?:[^[\]]|\[[^\]]*\])*)\]\((?!https?:)([^)\s#]*)(#[^)\s]*)?\)/g, (...match) =>
            link(file, ...match),
          ),
    )
    .join('')

for (const [file, page] of pages) {
  const original = read(file)
  let text = rewrite(file, original)
  const extra =
    file === 'test/comparison/RESULTS.md'
      ? comparisonChart(original)
      : file.startsWith(results)
        ? chartsOf(file)
        : ''
  const isIndex = file.endsWith('results/README.md')
  if (extra)
    text = isIndex ? text.replace(/^## /m, `${extra}\n\n## `) : text.replace(/^(# .*)$/m, `$1\n\n${extra}`)
  mkdirSync(dirname(join(staged, page)), { recursive: true })
  writeFileSync(join(staged, page), text)
}

// Only now, because its configuration reads what is above.
const { build } = await import('vitepress')
try {
  await build(join(root, 'demo/docs'))
} finally {
  rmSync(staged, { recursive: true, force: true })
}
