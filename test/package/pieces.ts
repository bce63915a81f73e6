// The pieces of code that README.md and the documents show.
import { readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

// A page's own URL, which jsdom has too, is none that Node would take.
export const root: string = `${resolve(fileURLToPath(import.meta.url), '../../..')}/`

export const documents: string[] = [
  'README.md',
  ...['demo/docs', 'demo/docs/api'].flatMap(folder =>
    readdirSync(root + folder)
      .filter(name => name.endsWith('.md'))
      .map(name => `${folder}/${name}`),
  ),
]

export interface Piece {
  /** As the document marks it: `ts`, `py`, … */
  readonly language: string
  readonly file: string
  /** The file, and the line that it begins in. */
  readonly place: string
  /** The same, as the name of a file. */
  readonly name: string
  readonly code: string
}

/** All of them, in order. Those in a list are indented, and a comment of the code may show some more. */
export const pieces: readonly Piece[] = documents.flatMap(file => {
  const text = readFileSync(root + file, 'utf8')
  return [...text.matchAll(/^( *)```(\w+)\n(.*?)^ *```$/gms)].map(match => {
    const [, margin = '', language = '', code = ''] = match
    const place = `${file}:${text.slice(0, match.index).split('\n').length + 1}`
    const bare = code.replace(new RegExp(`^${margin}`, 'gm'), '')
    return { language, file, place, name: place.replace(/\W+/g, '-'), code: bare }
  })
})

/** Those in one of these languages. */
export const piecesIn = (...languages: string[]): Piece[] =>
  pieces.filter(({ language }) => languages.includes(language))

/** The one in a document that has these words in it. */
export const pieceWith = (file: string, words: string): string => {
  const piece = pieces.find(piece => piece.file === file && piece.code.includes(words))
  if (!piece) throw new Error(`${file} has no piece of code with ${words}`)
  return piece.code
}
