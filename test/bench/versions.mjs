// The installed versions, for tables. They are not in peers.mjs, which is also bundled for pages.
import { readFileSync } from 'node:fs'

const read = path => JSON.parse(readFileSync(new URL(`../../${path}/package.json`, import.meta.url))).version

/** The version of a package, or of this one. */
export const version = name => read(/^steadysocket/.test(name) ? '.' : `node_modules/${name}`)

/** The version of a library in peers.mjs, or `undefined` for the native WebSocket. */
export const versionOf = ({ name, package: home = name }) =>
  /^native/.test(name) ? undefined : version(home)

/** The name and version of a library, for a table. */
export const label = peer => [peer.name, versionOf(peer)].filter(Boolean).join(' ')
