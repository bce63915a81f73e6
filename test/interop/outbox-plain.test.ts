// The Python server of demo/docs/outbox.md for plain sockets, which is killed while an outbox sends to it.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { createSocket } from '../../src/index.ts'
import { createOutbox, overSocket } from '../../src/outbox.ts'
import { MemoryStorage } from '../outbox/fakes.ts'
import { pieceWith } from '../package/pieces.ts'
import { cleanUp, cleanup } from '../support/cleanup.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/ports.ts'
import { hasPython, startProgram } from './python.ts'

cleanUp()

const startServer = async () => {
  const folder = mkdtempSync(join(tmpdir(), 'outbox-plain-'))
  cleanup(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'server.py'), pieceWith('demo/docs/outbox.md', 'import sqlite3'))
  const port = await freePort()
  let program = startProgram(folder, port, 'server.py')
  cleanup(() => program.stop())
  return {
    url: `ws://127.0.0.1:${port}`,
    async restart() {
      await program.stop()
      program = startProgram(folder, port, 'server.py')
    },
    /** The orders that were handled, in order. */
    orders(): unknown[] {
      const read = `import json, sqlite3
print(json.dumps([json.loads(data) for data, in sqlite3.connect("orders.db").execute("SELECT data FROM orders ORDER BY rowid")]))`
      return JSON.parse(
        String(
          spawnSync(process.env.PYTHON_PATH ?? '/usr/bin/python3', ['-c', read], { cwd: folder }).stdout,
        ),
      )
    },
  }
}

const open = (url: string, storage: MemoryStorage) => {
  const socket = createSocket(url, { WebSocket: WebSocket as never, wake: false, retry: () => 20 })
  cleanup(() => socket.close())
  const outbox = createOutbox(storage)
  outbox.on('problem', () => {})
  const orders = overSocket(socket, outbox, {
    encode: (data, id) => JSON.stringify({ id, data }),
    acknowledged: text => JSON.parse(text).ack,
  })
  return { socket, orders }
}

describe.runIf(hasPython('websockets'))('the plain server in Python', () => {
  test('handles every message of an outbox once and in order, although it is killed, and the page is closed', async () => {
    const server = await startServer()
    const storage = new MemoryStorage()
    const first = open(server.url, storage)
    const outcomes = Array.from({ length: 100 }, (_, n) => first.orders.send(n))
    await outcomes[20]
    await server.restart()
    await outcomes[60]
    first.socket.close()
    const statuses = (await Promise.all(outcomes)).map(({ status }) => status)
    expect(statuses.filter(status => status !== 'delivered' && status !== 'stored')).toEqual([])
    const second = open(server.url, storage)
    expect(await second.orders.send('last')).toEqual({ status: 'delivered' })
    expect(server.orders()).toEqual([...Array(100).keys(), 'last'])
    await eventually(() => expect(storage.records.size).toBe(0))
  })
})
