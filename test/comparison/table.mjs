// Writes the results as Markdown, and parses them for a test. There is no date and no machine in the text, so that another run writes the same.
import { versionOf } from '../bench/versions.mjs'

const MARKS = { pass: '✓', fail: '✗', none: '–' }

/** The heading of a library's column. For this package, it has no version, because the results are of the current code. */
export const column = peer => (peer.ours ? peer.name : [peer.name, versionOf(peer)].filter(Boolean).join(' '))

const inTable = text => text.replaceAll('|', '\\|')
const line = cells => `| ${cells.join(' | ')} |`

/** A row with a letter for each different failure, and the notes that explain the letters. */
const row = ({ title, why }, cells) => {
  const words = []
  const marks = cells.map(({ verdict, said }) => {
    if (verdict !== 'fail') return MARKS[verdict]
    if (!words.includes(said)) words.push(said)
    return `${MARKS.fail} ${String.fromCharCode(97 + words.indexOf(said))}`
  })
  const notes = words.map((said, i) => `${String.fromCharCode(97 + i)}: ${said}`)
  const head = why ? `${title} ([why](${why}))` : title
  return { text: line([head, ...marks]), notes: notes.length ? `- ${title}: ${notes.join('; ')}` : undefined }
}

const cellsOf = (cells, scenario) => cells.filter(cell => cell.scenario === scenario)

const summary = (subjects, peers, cells) => [
  line(['Library', ...subjects.map(({ subject }) => subject)]),
  line(['---', ...subjects.map(() => '---')]),
  ...peers.map(peer =>
    line([
      column(peer),
      ...subjects.map(({ scenarios }) => {
        const own = cells.filter(cell => cell.peer === peer && scenarios.includes(cell.scenario))
        const applies = own.filter(({ verdict }) => verdict !== 'none')
        const passed = applies.filter(({ verdict }) => verdict === 'pass')
        return applies.length ? `${passed.length}/${applies.length}` : MARKS.none
      }),
    ]),
  ),
]

const section = ({ subject, scenarios }, peers, cells) => {
  const rows = scenarios.map(scenario => row(scenario, cellsOf(cells, scenario)))
  const notes = rows.map(row => row.notes).filter(Boolean)
  return [
    `## ${subject}`,
    '',
    line(['', ...peers.map(column)]),
    line(['---', ...peers.map(() => ':-:')]),
    ...rows.map(row => row.text),
    ...(notes.length ? ['', 'Observed:', '', ...notes.map(inTable)] : []),
    '',
  ]
}

const INTRODUCTION = `# The comparison

Each row is a situation in which an application may be, and a program in this folder. Each column is a library. ✓ means that it behaves as the row says,
✗ that it does not, and – that the row does not apply, because the library does not have this feature and does not claim to have it.

\`npm run compare\` runs all programs and writes this page. The servers are real, from \`ws\` and socket.io, and use TCP. Only time is
accelerated. Each library has its best settings for a long outage (\`../bench/peers.mjs\` lists them, with the reasons), except in rows
that say *by default*: \`steadysocket\` has a heartbeat, which is off by default. Randomness is seeded, so that another run gives the same results.

The authors of \`steadysocket\` chose the rows, from problems that are reported in practice. Decide yourself which of them matter to
you. The last two sections contain rows in which others do better, and
[this page says when to prefer another client](../../demo/docs/why-not.md#when-to-prefer-another-client).
`

export const render = (subjects, peers, cells) =>
  [
    INTRODUCTION,
    ...summary(subjects, peers, cells),
    '',
    ...subjects.flatMap(one => section(one, peers, cells)),
  ].join('\n')

/** The marks of one column, by the titles of the rows. */
export const marksOf = (text, name) => {
  const marks = new Map()
  let index = -1
  for (const found of text.split('\n')) {
    if (!found.startsWith('|')) continue
    const cells = found.slice(2, -2).split(' | ')
    if (cells[0] === '') index = cells.indexOf(name)
    else if (index > 0 && cells[0] !== '---')
      marks.set(cells[0].replace(/ \(\[why\]\(.*/, ''), cells[index][0])
  }
  return marks
}

/** The headings of the columns in each section of the page. */
export const columnsOf = text =>
  [...text.matchAll(/^\| {2}\| (.*) \|$/gm)].map(([, names]) => names.split(' | '))

export const markOf = ({ verdict }) => MARKS[verdict]
