// The code samples of README.md and the documentation.
import { readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

// In jsdom, `URL` is the class of the page, which Node does not accept.
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
  /** The language of the code block: `ts`, `py`, … */
  readonly language: string
  readonly file: string
  /** The file, and the line in which it begins. */
  readonly place: string
  /** The same in a form that can be a file name. */
  readonly name: string
  readonly code: string
}

/** All samples, in order. Samples in a list are indented. */
export const pieces: readonly Piece[] = documents.flatMap(file => {
  const text = readFileSync(root + file, 'utf8')
  return [...text.matchAll(/^( *)```(\w+)\n(.*?)^ *```$/gms)].map(match => {
    const [, margin = '', language = '', code = ''] = match
    const place = `${file}:${text.slice(0, match.index).split('\n').length + 1}`
    const bare = code.replace(new RegExp(`^${margin}`, 'gm'), '')
    return { language, file, place, name: place.replace(/\W+/g, '-'), code: bare }
  })
})

/** The samples in one of these languages. */
export const piecesIn = (...languages: string[]): Piece[] =>
  pieces.filter(({ language }) => languages.includes(language))

/** The sample of a document that contains these words. */
export const pieceWith = (file: string, words: string): string => {
  const piece = pieces.find(piece => piece.file === file && piece.code.includes(words))
  if (!piece) throw new Error(`${file} has no piece of code with ${words}`)
  return piece.code
}
