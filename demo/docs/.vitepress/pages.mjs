// The pages of the site: which documents they are made from, where they are, and in which group of the sidebar.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../../../', import.meta.url))
export const read = file => readFileSync(root + file, 'utf8')

/** The address of the repository, or `undefined` as long as package.json names none. */
export const repository = (() => {
  const { repository } = JSON.parse(read('package.json'))
  return (repository?.url ?? repository)?.replace(/^git\+/, '').replace(/\.git$/, '')
})()

const documentsIn = folder =>
  readdirSync(root + folder)
    .filter(name => name.endsWith('.md'))
    .map(name => name.slice(0, -3))

/** From a folder of documents to a folder of the site. */
const folder = (from, to, names = {}) =>
  documentsIn(from).map(name => [`${from}/${name}.md`, `${to}/${names[name] ?? name}.md`])

/** The page for each document. The README of a folder becomes its index, and `steadysocket` is not called `index` there. */
export const pages = new Map([
  ['README.md', 'index.md'],
  ...folder('demo/docs', 'guides', { README: 'index' }),
  ...folder('demo/docs/api', 'api', { README: 'index', index: 'steadysocket' }),
  ['test/comparison/RESULTS.md', 'comparison.md'],
  ...folder('test/bench/results', 'measurements', { README: 'index' }),
  ['CHANGELOG.md', 'changelog.md'],
  ['src/README.md', 'project/source.md'],
  ['src/reliable/PROTOCOL.md', 'project/protocol.md'],
  ['test/engines/NOTES.md', 'project/browsers.md'],
  ['.github/CONTRIBUTING.md', 'project/contributing.md'],
  ['.github/SECURITY.md', 'project/security.md'],
])

export const titleOf = file => /^# (.*)$/m.exec(read(file))?.[1].replaceAll('`', '') ?? file

const guides = (text, ...names) => ({
  text,
  files: names.map(name => `demo/docs/${name}.md`).filter(file => existsSync(root + file)),
})

const groups = [
  { text: 'Start', files: ['README.md', 'demo/docs/README.md', 'CHANGELOG.md'] },
  guides('Connections', 'tokens', 'status', 'heartbeats', 'hidden-tabs', 'handover', 'tabs', 'workers'),
  guides('Messages', 'resubscribe', 'calls', 'reliable', 'outbox', 'values', 'streams', 'rate-limits'),
  guides(
    'Frameworks and platforms',
    'frameworks',
    'angular',
    'hot-reloading',
    'react-native',
    'electron',
    'node',
    'no-bundler',
    'testing',
    'sizes',
  ),
  guides('Servers', 'python', 'closing', 'proxies'),
  guides('Migrating', 'drop-in', 'migrate-react-use-websocket', 'migrate-socket-io'),
  { text: 'Choosing', files: ['demo/docs/why-not.md', 'test/comparison/RESULTS.md'] },
]
const listed = new Set(groups.flatMap(({ files }) => files))
const others = [...pages.keys()].filter(file => /^demo\/docs\/[\w-]+\.md$/.test(file) && !listed.has(file))
if (others.length) groups.push({ text: 'More guides', files: others })

const below = folder =>
  [...pages.keys()].filter(file => file.startsWith(folder) && !file.endsWith('README.md'))

const linkTo = file => `/${pages.get(file)?.replace(/(index)?\.md$/, '')}`
const NAMES = {
  'README.md': 'Overview',
  'demo/docs/README.md': 'All guides',
  'demo/docs/drop-in.md': 'From WebSocket and drop-in classes',
}
const item = file => ({ text: NAMES[file] ?? titleOf(file), link: linkTo(file) })

/** The heading of a collapsible group is a link to its first page, because a button inside a button would not be accessible. */
const collapsed = (text, [first, ...others]) => ({
  text,
  link: linkTo(first),
  collapsed: true,
  items: others.map(item),
})

export const sidebar = [
  ...groups.map(({ text, files }) => ({ text, items: files.map(item) })),
  collapsed('API reference', ['demo/docs/api/README.md', ...below('demo/docs/api/')]),
  collapsed('Measurements', ['test/bench/results/README.md', ...below('test/bench/results/')]),
  collapsed('For maintainers', [
    'src/README.md',
    ...[...pages.keys()].filter(file => pages.get(file)?.startsWith('project/') && file !== 'src/README.md'),
  ]),
]
