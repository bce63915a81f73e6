import { describe } from 'vitest'
import { describeStore } from '../server/store-contract.ts'
import { hasRedis } from './redis.ts'
import { withRedis } from './server-rig.ts'

describe.runIf(hasRedis())('the Redis store', () => {
  withRedis(stores => describeStore(() => stores.next()))
})
