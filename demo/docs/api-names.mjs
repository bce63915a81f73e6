// The public names of every entry, with what is declared and said of them. TypeScript 7 has no API of its own; the one that
// api-extractor brings along reads the same sources.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../../', import.meta.url))
const require = createRequire(import.meta.url)
export const ts = createRequire(require.resolve('@microsoft/api-extractor/package.json'))('typescript')

const manifest = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))
export const entries = Object.entries(manifest.exports).flatMap(([path, { import: module }]) =>
  module ? [path === '.' ? 'index' : path.slice(2)] : [],
)
export const specifier = entry => (entry === 'index' ? manifest.name : `${manifest.name}/${entry}`)

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
export const oneLine = text =>
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

const jsDocsOf = node => ts.getJSDocCommentsAndTags(commented(node)).filter(ts.isJSDoc)

export const commentOf = node =>
  jsDocsOf(node)
    .map(({ comment }) => ts.getTextOfJSDocComment(comment) ?? '')
    .join('\n\n')

/** The examples of a declaration: what its tags `@example` say. */
export const examplesOf = node =>
  jsDocsOf(node)
    .flatMap(({ tags = [] }) => tags.filter(({ tagName }) => tagName.text === 'example'))
    .map(({ comment }) => ts.getTextOfJSDocComment(comment).trim())

/** Links in the plain comments before a declaration: the standards that it follows. */
export const standardsOf = node => {
  const text = node.getSourceFile().text
  const ranges = ts.getLeadingCommentRanges(text, commented(node).pos) ?? []
  return ranges.flatMap(({ kind, pos, end }) =>
    kind === ts.SyntaxKind.SingleLineCommentTrivia
      ? (text.slice(pos, end).match(/https:[^\s,]+/g) ?? [])
      : [],
  )
}

const isPublic = member =>
  !(ts.getCombinedModifierFlags(member) & ts.ModifierFlags.NonPublicAccessibilityModifier)
export const membersOf = node =>
  (node.members ?? []).filter(
    member => isPublic(member) && (ts.isTypeElement(member) || ts.isClassElement(member)),
  )

/** Our types that a declaration names. */
export const namedIn = node => {
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

export const declarationsOf = symbol => (symbol.declarations ?? []).filter(isOurs)
export const isValue = symbol => (symbol.flags & ts.SymbolFlags.Value) !== 0
export const byName = (one, other) => (one.name < other.name ? -1 : one.name > other.name ? 1 : 0)

export const pages = new Map(
  entries.map(entry => {
    const module = checker.getSymbolAtLocation(program.getSourceFile(`${root}src/${entry}.ts`))
    const names = checker.getExportsOfModule(module).map(resolve).sort(byName)
    const inner = new Set()
    return [entry, { names: [...names.filter(isValue), ...names.filter(name => !isValue(name))], inner }]
  }),
)

/** Where a name is explained: on this page, on another entry's, or below, among those that nobody can import. */
export const homeOf = (symbol, entry) =>
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
