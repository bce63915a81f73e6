// Which versions are installed, for the head of a table. Apart from the peers, which are bundled for pages too.
import { readFileSync } from 'node:fs'

const read = path => JSON.parse(readFileSync(new URL(`../../${path}/package.json`, import.meta.url))).version

/** Of a package, or of ours. */
export const version = name => read(/^steadysocket/.test(name) ? '.' : `node_modules/${name}`)

/** Of one of the peers; nothing for the platform's own. */
export const versionOf = ({ name, package: home = name }) =>
  /^native/.test(name) ? undefined : version(home)

/** A peer as a table calls it. */
export const label = peer => [peer.name, versionOf(peer)].filter(Boolean).join(' ')
