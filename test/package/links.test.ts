// What the documents link to in this repository is there, headings included.
import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, relative, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { documents, root } from './pieces.ts'

const prose = (file: string) => readFileSync(root + file, 'utf8').replace(/^ *```.*?^ *```$/gms, '')

/** The anchors of a document, as GitHub makes them: the same again gets a number. */
const anchorsOf = (file: string) => {
  const times = new Map<string, number>()
  return [...prose(file).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => {
    const words = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const slug = words.replace(/[^\p{L}\p{N}\s_-]/gu, '').replace(/ /g, '-')
    const time = times.get(slug) ?? 0
    times.set(slug, time + 1)
    return time ? `${slug}-${time}` : slug
  })
}

test.each(documents)('the links of %s lead somewhere', file => {
  const broken = [...prose(file).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)].flatMap(
    ([, path = '', anchor]) => {
      const target = path ? relative(root, resolve(root, dirname(file), path)) : file
      if (!existsSync(root + target)) return [`${path} is not there`]
      const isDocument = target.endsWith('.md') && statSync(root + target).isFile()
      return anchor && isDocument && !anchorsOf(target).includes(anchor) ? [`${path}#${anchor}`] : []
    },
  )
  expect(broken).toEqual([])
})
