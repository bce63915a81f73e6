// What the doc comments of public names leave out: the meaning, the default of what is optional, the unit of a number.
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

/** Parts of other people's objects: their own documents explain them. */
const OTHERS =
  /^(RedisClient|RedisClusterClient|RedisSentinelClient|RedisSubscriber|IoRedisClient|IoRedisSubscriber|RequestLike|Schema|CallSchema|WebSocketLike|WebSocketServerLike)$/

/** What is not said of the members of a type. A type alias is shown as it is written: its own comment may speak for them. */
const silent = (node, type, alias = false) => {
  const parts = node.types ?? (ts.isParenthesizedTypeNode(node) ? [node.type] : [])
  if (parts.length && alias) return parts.flatMap(part => silent(part, type, alias))
  const isOptions = /Options$|^Overflow$/.test(type)
  return membersOf(node).flatMap(member => {
    const name = `${type}.${member.name?.getText() ?? 'new'}`
    const said = commentOf(member)
    const missing = said || (alias && !isOptions) ? [] : [`${name}: no doc comment`]
    if (isOptions && member.questionToken && !/Default/i.test(said)) missing.push(`${name}: no default`)
    if (isOptions && member.type?.getText() === 'number' && !UNITS.test(said + commentOf(node)))
      missing.push(`${name}: no unit`)
    // What an object that is handed over may have in it, the comment says by name.
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
          ? silent(node.type, symbol.name, true)
          : silent(node, symbol.name),
    )
    return [...unsaid, ...members].map(gap => `${specifier(entry)}: ${gap}`)
  }),
)

/** How many public names there are. */
export const count = [...pages.values()].reduce((sum, { names }) => sum + names.length, 0)
