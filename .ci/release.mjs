// npm run release: makes sure that this tree can be published, shows what would be, and tags it. To push the tag is to publish: see
// .github/workflows/release.yml. With --dry-run it does all but tag. With --manifest it only checks package.json: npm does this before each
// `npm publish`.
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const dry = process.argv.includes('--dry-run')
process.chdir(fileURLToPath(new URL('..', import.meta.url)))

const manifest = JSON.parse(readFileSync('package.json', 'utf8'))
const { name, version, repository, publishConfig = {} } = manifest
const tag = `v${version}`

const git = (...args) => execFileSync('git', args, { encoding: 'utf8' }).trim()

/** Runs a command that speaks for itself, and says whether it went well. */
const went = (program, ...args) => spawnSync(program, args, { stdio: 'inherit' }).status === 0

function* problemsOfManifest() {
  // What npm asks for: https://docs.npmjs.com/generating-provenance-statements
  if (!publishConfig.provenance) yield 'publishConfig.provenance in package.json is not true'
  if (publishConfig.access !== 'public')
    yield 'publishConfig.access in package.json is not "public", as provenance needs'
  if (!(repository?.url ?? repository)) {
    yield 'package.json has no repository. Add "repository": "https://…": npm refuses provenance unless it names the public repository that the workflow runs in, and derives homepage, bugs and the links of the README from it'
  }
}

function* problemsOfTree() {
  if (git('status', '--porcelain')) yield 'the tree is not clean: commit, or put away, what git status shows'

  const heading = readFileSync('CHANGELOG.md', 'utf8')
    .split('\n')
    .find(line => line === `## ${version}` || line.startsWith(`## ${version} `))
  if (!heading) yield `CHANGELOG.md does not know ${version}: give it a heading "## ${version} (date)"`
  else if (!/\(\d{4}-\d\d-\d\d\)$/.test(heading))
    yield `CHANGELOG.md gives no date to ${version}: "${heading}"`

  if (git('tag', '--list', tag)) yield `the tag ${tag} is taken: raise the version`
  else if (git('remote').split('\n').includes('origin') && git('ls-remote', '--tags', 'origin', tag)) {
    yield `the tag ${tag} is taken at origin: raise the version`
  }
}

function stop(what) {
  console.error(`${name} ${version} cannot be released:`)
  for (const one of what) console.error(`- ${one}`)
  process.exit(1)
}

const onlyManifest = process.argv.includes('--manifest')
const found = [...(onlyManifest ? [] : problemsOfTree()), ...problemsOfManifest()]
if (found.length > 0) stop(found)
if (onlyManifest) process.exit()

if (!went('npm', 'test')) stop(['its tests fail'])
// Not built once more: what has been tested is what is shown.
if (!went('npm', 'publish', '--dry-run', '--ignore-scripts')) stop(['npm would not publish it'])
if (git('status', '--porcelain')) stop(['the tests have changed the tree: see git status'])

if (dry) {
  console.log(`${name} ${version} can be released.`)
} else {
  git('tag', '--annotate', tag, '--message', `${name} ${version}`)
  console.log(`Tagged ${tag}. To publish it: git push origin ${tag}`)
}
