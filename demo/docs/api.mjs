// Writes the API reference, demo/docs/api/, from the doc comments in src/: one page for each entry of package.json.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import {
  byName,
  commentOf,
  declarationsOf,
  entries,
  examplesOf,
  homeOf,
  isValue,
  membersOf,
  namedIn,
  oneLine,
  pages,
  root,
  specifier,
  standardsOf,
  ts,
} from './api-names.mjs'

const generics = ({ typeParameters }) =>
  typeParameters ? `<${typeParameters.map(each => oneLine(each.getText())).join(', ')}>` : ''

/** Parameters that are taken apart at once are options. What has a default may be left out. */
const parameter = ({ name, type, dotDotDotToken, questionToken, initializer }) =>
  `${dotDotDotToken ? '...' : ''}${ts.isIdentifier(name) ? name.text : 'options'}${questionToken || initializer ? '?' : ''}: ${oneLine(type.getText())}`

const call = (node, result) =>
  `${generics(node)}(${node.parameters.map(parameter).join(', ')})${node.type ? result + oneLine(node.type.getText()) : ''}`

/** A member of an interface or class, as one declares it. */
const memberSignature = member => {
  if (ts.isConstructSignatureDeclaration(member)) return `new ${call(member, ': ')}`
  if (ts.isConstructorDeclaration(member)) return `new ${call(member, ': ')}`
  if (ts.isCallSignatureDeclaration(member)) return call(member, ': ')
  if (ts.isMethodSignature(member) || ts.isMethodDeclaration(member))
    return `${member.name.getText()}${call(member, ': ')}`
  return oneLine(member.getText().replace(/^\/\*\*.*?\*\//s, '')).replace(
    /^(override |declare |public )*/,
    '',
  )
}

/** What a declaration says of itself, before its members. */
const head = (symbol, node) => {
  const { name } = symbol
  if (ts.isTypeAliasDeclaration(node)) return node.getText().replace(/^export /, '')
  if (ts.isInterfaceDeclaration(node) || ts.isClassDeclaration(node)) {
    const heritage = (node.heritageClauses ?? []).map(clause => ` ${oneLine(clause.getText())}`).join('')
    return `${ts.isClassDeclaration(node) ? 'class' : 'interface'} ${name}${generics(node)}${heritage}`
  }
  if (!node.type && ts.isArrowFunction(node.initializer)) return name + call(node.initializer, ': ')
  const literal = node.type && ts.isTypeLiteralNode(node.type)
  if (literal) return node.type.members.map(member => name + memberSignature(member)).join('\n')
  return `const ${name}: ${node.type.getText()}`
}

/** The anchors of a page's headings, as GitHub makes them: the same again gets a number. */
const anchorsOf = entry => {
  const seen = new Map()
  const { names, inner } = pages.get(entry)
  return new Map(
    [...names, ...[...inner].sort(byName)].map(symbol => {
      const slug = symbol.name.toLowerCase()
      const times = seen.get(slug) ?? 0
      seen.set(slug, times + 1)
      return [symbol, times ? `${slug}-${times}` : slug]
    }),
  )
}
const anchors = new Map(entries.map(entry => [entry, anchorsOf(entry)]))

const indent = text => text.replace(/\n(?=.)/g, '\n  ')

/** The doc comment with its examples. */
const said = node => [commentOf(node), ...examplesOf(node)].filter(Boolean).join('\n\n')

const section = (symbol, entry) => {
  const nodes = declarationsOf(symbol)
  const lines = [`## ${symbol.name}`, '']
  for (const node of nodes) {
    lines.push('```typescript', head(symbol, node), '```', '')
    const comment = said(node)
    if (comment) lines.push(comment, '')
    if (ts.isTypeAliasDeclaration(node)) continue
    for (const member of membersOf(node)) {
      const text = said(member)
      lines.push(`- \`${memberSignature(member)}\`${text ? `  \n  ${indent(text)}` : ''}`)
    }
    if (membersOf(node).length) lines.push('')
  }
  const used = nodes
    .flatMap(namedIn)
    .filter((other, at, all) => other !== symbol && all.indexOf(other) === at)
    .sort(byName)
    .map(other => {
      const home = homeOf(other, entry) ?? entry
      return `[\`${other.name}\`](${home === entry ? '' : `${home}.md`}#${anchors.get(home).get(other)})`
    })
  const standards = [...new Set(nodes.flatMap(standardsOf))].map(link => `<${link}>`)
  // No links to src/, which the package does not contain.
  if (standards.length) lines.push(`Standard: ${standards.join(', ')}.`, '')
  if (used.length) lines.push(`See also: ${used.join(', ')}.`, '')
  return lines
}

const page = entry => {
  const { names, inner } = pages.get(entry)
  const lines = [
    `# \`${specifier(entry)}\``,
    '',
    'Made from the doc comments in `src/` by `demo/docs/api.mjs`.',
    '',
  ]
  for (const symbol of names) lines.push(...section(symbol, entry))
  if (inner.size) lines.push('# Named above, not exported', '')
  for (const symbol of [...inner].sort(byName)) lines.push(...section(symbol, entry))
  return `${lines.join('\n').trimEnd()}\n`
}

const contents = () => {
  const lines = [
    '# API reference',
    '',
    'Every public name of every entry, made from the doc comments in `src/` by `demo/docs/api.mjs`. Your editor shows the same.',
    'Durations are in milliseconds wherever nothing else is said.',
    '',
  ]
  for (const entry of entries) {
    lines.push(`## [\`${specifier(entry)}\`](${entry}.md)`, '')
    const link = symbol => `[\`${symbol.name}\`](${entry}.md#${anchors.get(entry).get(symbol)})`
    const { names } = pages.get(entry)
    lines.push(`${names.filter(isValue).map(link).join(', ')}.`, '')
    const types = names.filter(name => !isValue(name))
    if (types.length) lines.push(`Types: ${types.map(link).join(', ')}.`, '')
  }
  return `${lines.join('\n').trimEnd()}\n`
}

/** The pages, by the name of their file. */
export const reference = new Map([
  ['README.md', contents()],
  ...entries.map(entry => [`${entry}.md`, page(entry)]),
])

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = `${root}demo/docs/api/`
  mkdirSync(folder, { recursive: true })
  for (const file of readdirSync(folder)) if (!reference.has(file)) rmSync(folder + file)
  for (const [file, text] of reference) writeFileSync(folder + file, text)
}
