// `npm run release`, in a small test repository.
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { afterEach, describe, expect, test } from 'vitest'
import { root } from './built.ts'

const homes: string[] = []
afterEach(() => {
  for (const home of homes.splice(0)) rmSync(home, { recursive: true, force: true })
})

const GOOD = {
  name: 'some-package',
  version: '1.2.3',
  repository: 'https://git.test/some/package',
  publishConfig: { access: 'public', provenance: true },
  files: ['CHANGELOG.md'],
  scripts: { test: 'node --eval "console.log(1 + 1)"' },
}

function repository(manifest: object = GOOD, changelog = '## 1.2.3 (2026-02-01)') {
  const home = mkdtempSync(`${tmpdir()}/steadysocket-`)
  homes.push(home)
  cpSync(`${root}.ci/release.mjs`, `${home}/.ci/release.mjs`)
  writeFileSync(`${home}/package.json`, JSON.stringify(manifest))
  writeFileSync(`${home}/CHANGELOG.md`, `# Changelog\n\n${changelog}\n\n- All of it.\n`)
  const git = (...args: string[]) => execFileSync('git', args, { cwd: home, encoding: 'utf8' })
  git('init', '--quiet')
  git('config', 'user.name', 'Some One')
  git('config', 'user.email', 'one@example.test')
  git('add', '.')
  git('commit', '--quiet', '--no-gpg-sign', '--message', 'All of it')
  const release = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['.ci/release.mjs', ...args], {
      cwd: home,
      encoding: 'utf8',
      // No registry listens here. Otherwise, npm would request the published versions.
      env: { ...process.env, npm_config_registry: 'http://127.0.0.1:9/', npm_config_fetch_retries: '0' },
    })
    return { status, said: stdout + stderr, problems: stderr.match(/(?<=^- ).*/gm) ?? [] }
  }
  return { home, git, release }
}

describe('the release script', () => {
  test('runs the tests, shows what npm would publish, and tags the commit', () => {
    const { git, release } = repository()
    const tried = release('--dry-run')
    expect(tried).toMatchObject({ status: 0, problems: [] })
    expect(tried.said).toMatch(/^2$/m)
    expect(tried.said).toMatch(/npm notice .*CHANGELOG\.md/)
    expect(git('tag')).toBe('')

    expect(release().status).toBe(0)
    expect(git('tag')).toBe('v1.2.3\n')
    expect(release().problems).toEqual(['the tag v1.2.3 is taken: raise the version'])
  })

  test('lists everything that prevents a release, and changes nothing', () => {
    const { home, git, release } = repository({ name: 'some-package', version: '1.2.3' }, '## 1.2.2')
    writeFileSync(`${home}/left.txt`, 'over')
    const { status, problems } = release()
    expect(status).toBe(1)
    expect(problems).toEqual([
      expect.stringMatching(/tree is not clean/),
      expect.stringMatching(/CHANGELOG\.md does not know 1\.2\.3/),
      expect.stringMatching(/publishConfig\.provenance/),
      expect.stringMatching(/publishConfig\.access/),
      expect.stringMatching(/no repository/),
    ])
    expect(git('tag')).toBe('')
  })

  test('refuses `npm publish` of a package without a repository, and says what to add', () => {
    expect(JSON.parse(readFileSync(`${root}package.json`, 'utf8')).scripts.prepublishOnly).toMatch(
      /^node \.ci\/release\.mjs --manifest && /,
    )
    const { repository: _, ...homeless } = GOOD
    expect(repository(homeless).release('--manifest')).toMatchObject({
      status: 1,
      problems: [expect.stringMatching(/^package\.json has no repository\. Add "repository": "https:/)],
    })
    // It does not check the changelog and the working tree.
    const { git, release } = repository(GOOD, '## 1.2.3 (unreleased)')
    expect(release('--manifest')).toMatchObject({ status: 0, problems: [] })
    expect(git('tag')).toBe('')
  })

  test('requires a date in the changelog', () => {
    expect(repository(GOOD, '## 1.2.3 (unreleased)').release().problems).toEqual([
      'CHANGELOG.md gives no date to 1.2.3: "## 1.2.3 (unreleased)"',
    ])
  })

  test('does not tag if a test fails', () => {
    const { git, release } = repository({ ...GOOD, scripts: { test: 'node --eval "process.exit(1)"' } })
    expect(release().problems).toEqual(['its tests fail'])
    expect(git('tag')).toBe('')
  })

  test('is followed by a workflow with permission for provenance, and with pinned actions', () => {
    for (const name of ['ci', 'release']) {
      const workflow = readFileSync(`${root}.github/workflows/${name}.yml`, 'utf8')
      const actions = [...workflow.matchAll(/uses: (\S+)/g)].map(([, action]) => action)
      expect(actions.length).toBeGreaterThan(0)
      for (const action of actions) expect(action).toMatch(/@[0-9a-f]{40}$/)
      expect(workflow.includes('id-token: write')).toBe(name === 'release')
    }
  })
})
