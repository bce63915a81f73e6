// Writes the API reference, demo/docs/api/, from the doc comments in src/: one page for each entry of package.json.
// TypeScript 7 has no API of its own; the one that api-extractor brings along reads the same sources.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))
const require = createRequire(import.meta.url)
const ts = createRequire(require.resolve('@microsoft/api-extractor/package.json'))('typescript')

const manifest = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))
const entries = Object.entries(manifest.exports).flatMap(([path, { import: module }]) =>
  module ? [path === '.' ? 'index' : path.slice(2)] : [],
)
const specifier = entry => (entry === 'index' ? manifest.name : `${manifest.name}/${entry}`)

const { options } = ts.parseJsonConfigFileContent(
  ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile).config,
  ts.sys,
  root,
)
const program = ts.createProgram(
  entries.map(entry => `${root}src/${entry}.ts`),
  options,
)
const checker = program.getTypeChecker()

/** A type as one line: without its comments, and with a semicolon where a new line was one. */
const oneLine = text =>
  text
    .replace(/\/\*\*.*?\*\/\s*/gs, '')
    .replace(/(?<![{([<,;|&=:]|=>)\n\s*(?=[\w'[])/g, '; ')
    .replace(/\s+/g, ' ')
    .replace(/,? (?=[)\]>])/g, '')
const isOurs = node => relative(root, node.getSourceFile().fileName).startsWith('src/')

/** The real symbol behind an export or an import. */
const resolve = symbol => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol)

/** A variable's comment stands before the whole statement. */
const commented = node => (ts.isVariableDeclaration(node) ? node.parent.parent : node)

const commentOf = node =>
  ts
    .getJSDocCommentsAndTags(commented(node))
    .filter(ts.isJSDoc)
    .map(({ comment }) => ts.getTextOfJSDocComment(comment) ?? '')
    .join('\n\n')

/** Links in the plain comments before a declaration: the standards that it follows. */
const standardsOf = node => {
  const text = node.getSourceFile().text
  const ranges = ts.getLeadingCommentRanges(text, commented(node).pos) ?? []
  return ranges.flatMap(({ kind, pos, end }) =>
    kind === ts.SyntaxKind.SingleLineCommentTrivia
      ? (text.slice(pos, end).match(/https:[^\s,]+/g) ?? [])
      : [],
  )
}

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

const isPublic = member =>
  !(ts.getCombinedModifierFlags(member) & ts.ModifierFlags.NonPublicAccessibilityModifier)
const membersOf = node =>
  (node.members ?? []).filter(
    member => isPublic(member) && (ts.isTypeElement(member) || ts.isClassElement(member)),
  )

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

/** Our types that a declaration names. */
const namedIn = node => {
  const found = new Set()
  const visit = part => {
    if (ts.isBlock(part)) return
    if (ts.isTypeReferenceNode(part) || ts.isExpressionWithTypeArguments(part) || ts.isTypeQueryNode(part)) {
      const symbol = checker.getSymbolAtLocation(part.typeName ?? part.exprName ?? part.expression)
      const target = symbol && resolve(symbol)
      const isType = target?.declarations?.some(each => !ts.isTypeParameterDeclaration(each) && isOurs(each))
      if (isType) found.add(target)
    }
    ts.forEachChild(part, visit)
  }
  visit(node)
  return [...found]
}

const declarationsOf = symbol => (symbol.declarations ?? []).filter(isOurs)
const isValue = symbol => (symbol.flags & ts.SymbolFlags.Value) !== 0
const byName = (one, other) => (one.name < other.name ? -1 : one.name > other.name ? 1 : 0)

const pages = new Map(
  entries.map(entry => {
    const module = checker.getSymbolAtLocation(program.getSourceFile(`${root}src/${entry}.ts`))
    const names = checker.getExportsOfModule(module).map(resolve).sort(byName)
    const inner = new Set()
    return [entry, { names: [...names.filter(isValue), ...names.filter(name => !isValue(name))], inner }]
  }),
)

/** Where a name is explained: on this page, on another entry's, or below, among those that nobody can import. */
const homeOf = (symbol, entry) =>
  pages.get(entry).names.includes(symbol)
    ? entry
    : entries.find(other => pages.get(other).names.includes(symbol))

for (const [entry, { names, inner }] of pages) {
  const ask = symbol => {
    for (const used of declarationsOf(symbol).flatMap(namedIn)) {
      if (homeOf(used, entry) || inner.has(used)) continue
      inner.add(used)
      ask(used)
    }
  }
  names.forEach(ask)
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

const section = (symbol, entry) => {
  const nodes = declarationsOf(symbol)
  const source = [...new Set(nodes.map(node => relative(root, node.getSourceFile().fileName)))]
  const lines = [`## ${symbol.name}`, '']
  for (const node of nodes) {
    lines.push('```typescript', head(symbol, node), '```', '')
    const comment = commentOf(node)
    if (comment) lines.push(comment, '')
    if (ts.isTypeAliasDeclaration(node)) continue
    for (const member of membersOf(node)) {
      const said = commentOf(member)
      lines.push(`- \`${memberSignature(member)}\`${said ? `  \n  ${indent(said)}` : ''}`)
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
  const foot = [
    `Source: ${source.map(file => `[${file}](../../../${file})`).join(', ')}`,
    ...(standards.length ? [`after ${standards.join(', ')}`] : []),
    ...(used.length ? [`names ${used.join(', ')}`] : []),
  ]
  lines.push(`${foot.join('; ')}.`, '')
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

const UNITS = /millisecond|seconds?\b|bytes|\b[KM]iB|how many|number of|so many|ms\b|as many/i

/** Parts of other people's objects: their own documents explain them. */
const OTHERS = /^(RedisClient|RedisSubscriber|RequestLike|Schema|WebSocketLike|WebSocketServerLike)$/

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

/** What the doc comments of public names leave out. */
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

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = `${root}demo/docs/api/`
  mkdirSync(folder, { recursive: true })
  for (const file of readdirSync(folder)) if (!reference.has(file)) rmSync(folder + file)
  for (const [file, text] of reference) writeFileSync(folder + file, text)
  for (const gap of gaps) console.warn(gap)
}
