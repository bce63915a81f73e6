// Finds gaps in the doc comments of public names: a missing comment, default value, or unit of a number.
import {
  commentOf,
  declarationsOf,
  entries,
  membersOf,
  pages,
  specifier,
  ts,
} from '../../demo/docs/api-names.mjs'

const UNITS = /millisecond|seconds?\b|bytes|\b[KM]iB|how many|number of|so many|ms\b|as many/i

/** Interfaces of third-party objects, which have their own documentation. */
const OTHERS =
  /^(RedisClient|RedisClusterClient|RedisSentinelClient|RedisSubscriber|IoRedisClient|IoRedisSubscriber|RequestLike|Schema|CallSchema|WebSocketLike|WebSocketServerLike)$/

/** Returns the gaps of the members of a type. The comment of a type alias may describe its members. */
const gapsOf = (node, type, alias = false) => {
  const parts = node.types ?? (ts.isParenthesizedTypeNode(node) ? [node.type] : [])
  if (parts.length && alias) return parts.flatMap(part => gapsOf(part, type, alias))
  const isOptions = /Options$|^Overflow$/.test(type)
  return membersOf(node).flatMap(member => {
    const name = `${type}.${member.name?.getText() ?? 'new'}`
    const said = commentOf(member)
    const missing = said || (alias && !isOptions) ? [] : [`${name}: no doc comment`]
    if (isOptions && member.questionToken && !/Default/i.test(said)) missing.push(`${name}: no default`)
    if (isOptions && member.type?.getText() === 'number' && !UNITS.test(said + commentOf(node)))
      missing.push(`${name}: no unit`)
    // The comment must name the properties of an object that is passed to a function.
    const handed = (member.parameters ?? []).flatMap(({ type }) => type?.types ?? (type ? [type] : []))
    for (const { name: field } of handed.filter(ts.isTypeLiteralNode).flatMap(membersOf)) {
      if (!said.includes(`\`${field.getText()}\``)) missing.push(`${name}: nothing of ${field.getText()}`)
    }
    return missing
  })
}

export const gaps = entries.flatMap(entry =>
  pages.get(entry).names.flatMap(symbol => {
    const nodes = declarationsOf(symbol)
    const unsaid = nodes.some(commentOf) ? [] : [`${symbol.name}: no doc comment`]
    const members = nodes.flatMap(node =>
      OTHERS.test(symbol.name)
        ? []
        : ts.isTypeAliasDeclaration(node)
          ? gapsOf(node.type, symbol.name, true)
          : gapsOf(node, symbol.name),
    )
    return [...unsaid, ...members].map(gap => `${specifier(entry)}: ${gap}`)
  }),
)

/** How many public names there are. */
export const count = [...pages.values()].reduce((sum, { names }) => sum + names.length, 0)
