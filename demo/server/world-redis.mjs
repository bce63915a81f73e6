// The same data in Redis, for several processes. Each log is a Redis stream that every node reads. After a node has lost its connection
// to Redis, it reads what it missed, in order.
import { createClient } from 'redis'
import { redisStore } from '../../dist/server.js'
import { createLog, dueSince, logs } from './log.mjs'

const forgetAfter = 24 * 60 * 60 * 1000

/** Counts like page/tally.js. A bitmap stores which numbers have arrived. A message with an id is counted only once. */
const note = `
  local counts, bits, handled = unpack(KEYS)
  local n, ttl = tonumber(ARGV[1]), ARGV[2]
  local function add(name) redis.call('HINCRBY', counts, name, 1) end
  if handled == '' or redis.call('SET', handled, 1, 'NX', 'PX', 120000) then
    local last = tonumber(redis.call('HGET', counts, 'last') or 0)
    if redis.call('SETBIT', bits, n, 1) == 1 then
      add('twice')
    else
      add('arrived')
      if n < last then add('late') else redis.call('HSET', counts, 'last', n) end
    end
    redis.call('PEXPIRE', counts, ttl)
    redis.call('PEXPIRE', bits, ttl)
  end
  return redis.call('HMGET', counts, 'arrived', 'twice', 'late', 'last')`

const readCounts = answer => {
  const [arrived, twice, late, last] = answer.map(Number)
  return { arrived, lost: last - arrived, twice, late, last }
}

const encode = entry =>
  Buffer.isBuffer(entry) ? { bytes: entry.toString('base64') } : { json: JSON.stringify(entry) }
const decode = ({ bytes, json }) => (bytes === undefined ? JSON.parse(json) : Buffer.from(bytes, 'base64'))

const connect = async url => {
  let isThere = false
  const client = createClient({
    url,
    // The first connection must succeed. Later, the client reconnects automatically.
    socket: { reconnectStrategy: retries => isThere && Math.min(1_000, 50 * 2 ** retries) },
  })
  // Without a listener, an error would end the process.
  client.on('error', () => {})
  await client.connect().catch(error => {
    throw new Error(
      `Redis does not answer at REDIS_URL. Check the address and whether it is running: ${error.message || error.code}`,
    )
  })
  isThere = true
  return client
}

export const createRedisWorld = async (url, prefix) => {
  const client = await connect(url)
  const reader = await connect(url)
  const names = Object.keys(logs)
  const key = name => `${prefix}log:${name}`
  const local = names.map(name => createLog(logs[name]))
  const positions = names.map(() => '0')

  const read = async wait => {
    const wanted = names.map((name, at) => ({ key: key(name), id: positions[at] }))
    const answer = await reader.xRead(wanted, wait ? { BLOCK: wait } : undefined)
    for (const { name, messages } of answer ?? []) {
      const at = names.findIndex(one => key(one) === name)
      for (const { id, message } of messages) {
        positions[at] = id
        local[at].add(decode(message))
      }
    }
  }

  let isOpen = true
  const readOn = async () => {
    while (isOpen) {
      // While Redis is not reachable, this fails at once or waits. The client reconnects automatically.
      await read(5_000).catch(() => new Promise(done => setTimeout(done, 100)))
    }
  }
  await read()
  readOn()

  const world = {
    store: redisStore(client, { prefix: `${prefix}sessions:`, warn: false }),
    async stream(name) {
      const [counts, bits] = [`${prefix}counts:${name}`, `${prefix}bits:${name}`]
      await client.hSetNX(counts, 'since', String(Date.now()))
      await client.pExpire(counts, forgetAfter)
      const since = Number(await client.hGet(counts, 'since'))
      const stream = {
        since,
        counts: readCounts(await client.hmGet(counts, ['arrived', 'twice', 'late', 'last'])),
        async base(session) {
          const base = `${prefix}base:${session}`
          await client.set(base, String(dueSince(since)), { condition: 'NX' })
          await client.pExpire(base, forgetAfter)
          return Number(await client.get(base))
        },
        async note(n, id = '') {
          const keys = [counts, bits, id && `${prefix}handled:${id}`]
          const answer = await client.eval(note, { keys, arguments: [String(n), String(forgetAfter)] })
          stream.counts = readCounts(answer)
        },
      }
      return stream
    },
    async close() {
      isOpen = false
      reader.destroy()
      await client.close()
    },
  }
  names.forEach((name, at) => {
    const { entries, subscribe } = local[at]
    const append = entry => {
      const TRIM = { strategy: 'MAXLEN', strategyModifier: '=', threshold: logs[name] }
      client
        .multi()
        .xAdd(key(name), '*', encode(entry), { TRIM })
        .pExpire(key(name), forgetAfter)
        .exec()
        .catch(error => console.error(`Redis could not store an entry for ${name}: ${error.message}`))
    }
    world[name] = { entries, subscribe, append }
  })
  return world
}
