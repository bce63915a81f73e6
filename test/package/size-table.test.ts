// The sizes in the documentation are those of the current code.
import { expect, test } from 'vitest'
import { staleDocuments } from './size-table.mjs'

test('the sizes in the documents are up to date (if not: npm run build && npm run docs)', async () => {
  expect(await staleDocuments()).toEqual([])
})
