import { afterEach, describe } from 'vitest'
import { memoryStore } from '../../src/server.ts'
import { describeStore } from './store-contract.ts'

describe('the memory store', () => {
  let store = memoryStore()
  afterEach(() => {
    store = memoryStore()
  })
  describeStore(() => store)
})
