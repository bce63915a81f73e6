// Values in both directions, over real sockets.
import * as msgpack from '@msgpack/msgpack'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { json } from '../../src/json.ts'
import { overEachWebSocket, range, start } from './rig.ts'

const Message = z.object({ n: z.number(), at: z.coerce.date() })

overEachWebSocket(connect => {
  test.each([
    ['JSON', false],
    ['MessagePack', true],
  ])(
    '%s values arrive in order in both directions across an outage, and invalid ones cause an invalid event',
    async (_, packed) => {
      const server = await start()
      const { socket, events, until } = connect(`${server.url}/echo`, { retry: () => 0 })
      const values = packed ? json(socket, Message, msgpack) : json(socket, Message)
      const log: unknown[] = []
      values.on('message', ({ n, at }) => log.push([n, at.getTime()]))
      values.on('invalid', ({ text }) => log.push(text))

      for (const n of range(0, 10)) values.send({ n, at: new Date(n) })
      await until(() => events(packed ? 'binary' : 'text').length === 10)
      server.push('{"n":', 'oops')
      await until(() => events('text').some(text => text.endsWith('oops')))
      server.terminateAll()
      await until(() => socket.state.name !== 'open')
      expect(values.send({ n: 10, at: new Date(10) })).toBe('queued')
      await until(() => events(packed ? 'binary' : 'text').length === (packed ? 11 : 12))

      expect(log).toEqual([...range(0, 10).map(n => [n, n]), '{"n":oops', [10, 10]])
      const { data } = server.received[10] as (typeof server.received)[0]
      expect(packed ? msgpack.decode(data as Buffer) : JSON.parse(`${data}`)).toMatchObject({ n: 10 })
    },
  )
})
