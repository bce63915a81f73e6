import { describe, expect, test } from 'vitest'
import { describeStore, storeLimits } from '../server/store-contract.ts'
import { cleanup } from '../support/cleanup.ts'
import { hasRedis } from './redis.ts'
import { withRedis } from './server-rig.ts'

describe.runIf(hasRedis())('the Redis store', () => {
  withRedis(stores => {
    describeStore(() => stores.next())

    test('resumes after an acknowledgement that it was given first, even if Redis has forgotten the script for it', async () => {
      const node = await stores.next().open(storeLimits, () => {})
      cleanup(() => node.close())
      for (const id of ['a', 'b']) await node.create({ id, token: 't1', userId: 'u', groups: [] })
      for (const frame of ['1', '2', '3']) await node.commit([{ kind: 'send', session: 'a', frame }])
      await stores.client().sendCommand(['SCRIPT', 'FLUSH'])
      // Redis learns only the script that resumes.
      await node.resume('b', 't1', 't2', 'u')
      const acknowledged = node.acknowledge('a', 1, 2)
      expect(await node.resume('a', 't1', 't2', 'u')).toMatchObject({ sequenceId: 3, acknowledged: 2 })
      await acknowledged
    })
  })
})
