// Ids of which one tab is the first, in a database.
import { IDBFactory } from 'fake-indexeddb'
import { expect, onTestFinished, test, vi } from 'vitest'
import { claim } from '../../src/tabs/claim.ts'

test('claim() forgets the oldest of more than 1,000 ids', async () => {
  vi.stubGlobal('indexedDB', new IDBFactory())
  onTestFinished(() => void vi.unstubAllGlobals())
  for (let id = 0; id <= 1_000; id++) expect(await claim('news', `${id}`)).toBe(true)
  expect(await claim('news', '1')).toBe(false)
  expect(await claim('news', '0')).toBe(true)
  expect(await claim('others', '1')).toBe(true)
})
