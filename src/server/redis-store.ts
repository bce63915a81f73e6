// Sessions in Redis, for several nodes. Every step is one script, so that it happens whole or not at all. Everything is kept
// under keys that expire: a node that dies leaves nothing behind for ever.
//
//   s:ID  hash    tokens (digests, the oldest first), user, node, epoch, seq, acked, bytes, turn
//   b:ID  stream  frames that are not acknowledged; their stream ids are the sequence numbers
//   d:ID  zset    ids of handled messages, by turn
//   j:ID  set     groups of the session
//   g:GROUP  set  sessions in the group; g: is the group of all
//   n:NODE   channel of a node

import {
  type Effect,
  type Lease,
  MAX_LATER,
  type Outcome,
  SLOW,
  type Store,
  type StoreLimits,
  type StoreNews,
} from './store.js'
import { randomName } from './token.js'

/** What we call of a second connection to Redis. */
export interface RedisSubscriber {
  connect(): Promise<unknown>
  subscribe(channel: string, listener: (message: string) => unknown): Promise<unknown>
  on(event: 'error', listener: (error: Error) => void): unknown
  destroy(): void
}

/** What we call of a client of the `redis` package. */
export interface RedisClient {
  sendCommand(args: string[]): Promise<unknown>
  duplicate(): RedisSubscriber
}

/** Where in Redis the sessions are. */
export interface RedisStoreOptions {
  /** Begins the name of every key and channel. Servers with the same prefix serve the same sessions. Default: `'steadysocket:'`. */
  prefix?: string
}

const LIBRARY = `
local P, ttl, keep, most, bytes, groups, window = unpack(ARGV, 1, 7)
most, bytes, groups, window = tonumber(most), tonumber(bytes), tonumber(groups), tonumber(window)
local call = redis.call
local function S(id) return P .. 's:' .. id end
local function B(id) return P .. 'b:' .. id end
local function D(id) return P .. 'd:' .. id end
local function J(id) return P .. 'j:' .. id end
local function G(group) return P .. 'g:' .. group end
local function tell(node, news)
  if node and node ~= '' then call('PUBLISH', P .. 'n:' .. node, news) end
end
local function expire(id, ms)
  for _, key in ipairs({ S(id), B(id), D(id), J(id) }) do call('PEXPIRE', key, ms) end
end
local function owns(id, epoch) return call('HGET', S(id), 'epoch') == epoch end
local function forget(id, news)
  tell(call('HGET', S(id), 'node'), 'ended ' .. id .. ' ' .. news)
  for _, group in ipairs(call('SMEMBERS', J(id))) do call('SREM', G(group), id) end
  call('DEL', S(id), B(id), D(id), J(id))
end
local function join(id, group)
  call('SADD', G(group), id)
  call('PEXPIRE', G(group), ttl)
  call('SADD', J(id), group)
  local rest = call('PTTL', S(id))
  if rest > 0 then call('PEXPIRE', J(id), rest) end
end
local id, epoch = ARGV[8], ARGV[9]
`

const SCRIPTS = {
  create: `
    local token, user, node = unpack(ARGV, 10, 12)
    call('HSET', S(id), 'tokens', token, 'user', user, 'node', node, 'epoch', 1, 'seq', 0, 'acked', 0, 'bytes', 0)
    call('PEXPIRE', S(id), ttl)
    join(id, '')
    for i = 13, #ARGV do join(id, ARGV[i]) end
    return 1`,

  resume: `
    local token, user, node, after = unpack(ARGV, 10, 13)
    local kept = call('HMGET', S(id), 'tokens', 'user', 'node', 'seq', 'acked')
    if not kept[1] or kept[2] ~= user then return false end
    local tokens
    for one in string.gmatch(kept[1], '%S+') do
      if one == token then tokens = { one } elseif tokens then tokens[#tokens + 1] = one end
    end
    if not tokens then return false end
    while #tokens > 1 + ${MAX_LATER} do table.remove(tokens, 2) end
    tokens[#tokens + 1] = after
    local mine = call('HINCRBY', S(id), 'epoch', 1)
    call('HSET', S(id), 'tokens', table.concat(tokens, ' '), 'node', node)
    expire(id, ttl)
    for _, group in ipairs(call('SMEMBERS', J(id))) do call('PEXPIRE', G(group), ttl) end
    if kept[3] ~= node then tell(kept[3], 'moved ' .. id .. ' ' .. mine) end
    return { mine, tonumber(kept[4]), tonumber(kept[5]), call('ZRANGE', D(id), 0, -1) }`,

  confirm: `
    if owns(id, epoch) then call('HSET', S(id), 'tokens', string.match(call('HGET', S(id), 'tokens'), '%S+$')) end
    return 1`,

  commit: `
    local ack = ARGV[10]
    if id ~= '' then
      if not owns(id, epoch) then return { 'lost', 0 } end
      if ack ~= '' and call('ZSCORE', D(id), ack) then return { 'duplicate', 0 } end
    end
    local more = {}
    for i = 11, #ARGV, 4 do
      local kind, target, other = ARGV[i], ARGV[i + 1], ARGV[i + 2]
      if kind == 'members' and call('SISMEMBER', J(id), target) == 0 then return { 'forbidden', 0 } end
      if kind == 'join' and call('SISMEMBER', J(other), target) == 0 then
        local new = more[other] or { count = 0 }
        if not new[target] then new.count = new.count + 1 end
        new[target] = true
        more[other] = new
        if call('SCARD', J(other)) + new.count > groups + 1 then return { 'full', 0 } end
      end
    end
    if ack ~= '' then
      call('ZADD', D(id), call('HINCRBY', S(id), 'turn', 1), ack)
      call('ZREMRANGEBYRANK', D(id), 0, -1 - window)
      call('PEXPIRE', D(id), call('PTTL', S(id)))
    end
    local told = {}
    local function deliver(to, frame)
      local kept = call('HMGET', S(to), 'bytes', 'node')
      if not kept[1] then return 0 end
      local count = call('XLEN', B(to))
      if count >= most or tonumber(kept[1]) + #frame > bytes then
        forget(to, '1008 ${SLOW}')
        return 0
      end
      local seq = call('HINCRBY', S(to), 'seq', 1)
      call('XADD', B(to), string.format('%.0f-0', seq), 'f', frame)
      if count == 0 then call('PEXPIRE', B(to), call('PTTL', S(to))) end
      call('HINCRBY', S(to), 'bytes', #frame)
      told[to] = kept[2]
      return count + 1
    end
    local count = 0
    for i = 11, #ARGV, 4 do
      local kind, target, other, frame = unpack(ARGV, i, i + 3)
      if kind == 'send' then
        count = deliver(target, frame)
      elseif kind == 'join' then
        count = call('EXISTS', S(other))
        if count == 1 then join(other, target) end
      elseif kind == 'leave' then
        count = call('SREM', J(other), target)
        call('SREM', G(target), other)
      else
        count = 0
        for _, to in ipairs(call('SMEMBERS', G(target))) do
          if to ~= other then
            if deliver(to, frame) > 0 then count = count + 1 else call('SREM', G(target), to) end
          end
        end
      end
    end
    for to, node in pairs(told) do tell(node, 'messages ' .. to) end
    return { 'done', count }`,

  read: `
    if not owns(id, epoch) then return false end
    local found = {}
    for _, entry in ipairs(call('XRANGE', B(id), '(' .. ARGV[10] .. '-0', '+', 'COUNT', ARGV[11])) do
      found[#found + 1] = string.match(entry[1], '%d+')
      found[#found + 1] = entry[2][2]
    end
    return found`,

  acknowledge: `
    if not owns(id, epoch) then return 0 end
    local kept = call('HMGET', S(id), 'seq', 'acked')
    local last = math.min(tonumber(ARGV[10]), tonumber(kept[1]))
    if last <= tonumber(kept[2]) then return 0 end
    local freed = 0
    for _, entry in ipairs(call('XRANGE', B(id), '-', string.format('%.0f', last))) do freed = freed + #entry[2][2] end
    call('XTRIM', B(id), 'MINID', string.format('%.0f', last + 1))
    call('HINCRBY', S(id), 'bytes', -freed)
    call('HSET', S(id), 'acked', string.format('%.0f', last))
    return 1`,

  touch: `
    local newest = {}
    for i = 8, #ARGV, 2 do
      local id, epoch = ARGV[i], ARGV[i + 1]
      if owns(id, epoch) then
        expire(id, ttl)
        for _, group in ipairs(call('SMEMBERS', J(id))) do call('PEXPIRE', G(group), ttl) end
        newest[#newest + 1] = tonumber(call('HGET', S(id), 'seq'))
      else
        newest[#newest + 1] = -1
      end
    end
    return newest`,

  detach: `
    if owns(id, epoch) then expire(id, keep) end
    return 1`,

  end: `
    if call('EXISTS', S(id)) == 0 then return 0 end
    forget(id, ARGV[10])
    return 1`,
}

type Script = keyof typeof SCRIPTS

/** Four words for each effect, as the script takes them. */
const words = (effect: Effect): string[] =>
  effect.kind === 'send'
    ? ['send', effect.session, '', effect.frame]
    : effect.kind === 'publish'
      ? [effect.membersOnly ? 'members' : 'publish', effect.group, effect.except ?? '', effect.frame]
      : [effect.kind, effect.group, effect.session, '']

const news = (line: string): StoreNews => {
  const [, kind, session, number, reason] = /^(\w+) (\S+) ?(\d*) ?(.*)$/s.exec(line) as string[] as [
    string,
    'messages' | 'moved' | 'ended',
    string,
    string,
    string,
  ]
  if (kind === 'moved') return { kind, session, epoch: Number(number) }
  return kind === 'ended' ? { kind, session, code: Number(number), reason } : { kind, session }
}

/**
 * Keeps sessions in one Redis (6.2 or newer, not a Cluster), so that clients may resume on any node. The client must be connected,
 * and stays yours: it is not closed. A second connection, made with its `duplicate()`, listens for news.
 */
export const redisStore = (
  client: RedisClient,
  { prefix = 'steadysocket:' }: RedisStoreOptions = {},
): Store => {
  const open = async (limits: StoreLimits, hear: (news: StoreNews) => void) => {
    const node = randomName()
    // Connected sessions are touched several times in this span. Who dies with its node keeps at least `keepMs`.
    const settings = [
      prefix,
      2 * limits.keepMs,
      limits.keepMs,
      limits.maxUnacked,
      limits.maxUnackedBytes,
      limits.maxGroups,
      limits.dedupeWindow,
    ].map(String)

    const subscriber = client.duplicate()
    // It reconnects by itself, and what is not heard meanwhile `touch` tells.
    subscriber.on('error', () => {})
    await subscriber.connect()
    await subscriber.subscribe(`${prefix}n:${node}`, line => hear(news(line)))

    const load = (script: Script) => client.sendCommand(['SCRIPT', 'LOAD', LIBRARY + SCRIPTS[script]])
    const names = Object.keys(SCRIPTS) as Script[]
    const hashes = await Promise.all(names.map(load))
    const hash = Object.fromEntries(names.map((name, i) => [name, String(hashes[i])]))

    const run = async (script: Script, ...args: (string | number)[]): Promise<unknown> => {
      const rest = ['0', ...settings, ...args.map(String)]
      try {
        return await client.sendCommand(['EVALSHA', hash[script] as string, ...rest])
      } catch (error) {
        if (!String((error as Error).message).startsWith('NOSCRIPT')) throw error
        // A Redis that has restarted, or another one in its place.
        return client.sendCommand(['EVAL', LIBRARY + SCRIPTS[script], ...rest])
      }
    }

    return {
      async create(session: { id: string; token: string; userId: string; groups: readonly string[] }) {
        const { id, token, userId, groups } = session
        await run('create', id, 1, token, userId, node, ...groups)
        return true
      },
      async resume(id: string, token: string, next: string, userId: string): Promise<Lease | undefined> {
        const lease = (await run('resume', id, 0, token, userId, node, next)) as
          | [number, number, number, unknown[]]
          | null
        if (!lease) return undefined
        const [epoch, sequenceId, acknowledged, handled] = lease
        return { epoch, sequenceId, acknowledged, handled: handled.map(Number) }
      },
      async confirm(id: string, epoch: number) {
        await run('confirm', id, epoch)
      },
      async commit(
        effects: readonly Effect[],
        claim?: { session: string; epoch: number; ackId?: number | undefined },
      ) {
        const { session = '', epoch = 0, ackId = '' } = claim ?? {}
        const answer = await run('commit', session, epoch, ackId, ...effects.flatMap(words))
        const [outcome, count] = answer as [unknown, number]
        return { outcome: String(outcome) as Outcome, count }
      },
      async read(id: string, epoch: number, after: number, limit: number) {
        const found = (await run('read', id, epoch, after, limit)) as unknown[] | null
        if (!found) return undefined
        const messages = []
        for (let i = 0; i < found.length; i += 2) {
          messages.push({ sequenceId: Number(found[i]), frame: String(found[i + 1]) })
        }
        return messages
      },
      async acknowledge(id: string, epoch: number, sequenceId: number) {
        await run('acknowledge', id, epoch, sequenceId)
      },
      async touch(held: readonly { id: string; epoch: number }[]) {
        const newest: number[] = []
        // In parts, so that no script holds up Redis for long.
        for (let i = 0; i < held.length; i += 200) {
          const part = held.slice(i, i + 200).flatMap(({ id, epoch }) => [id, epoch])
          newest.push(...((await run('touch', ...part)) as number[]))
        }
        return newest
      },
      async detach(id: string, epoch: number) {
        await run('detach', id, epoch)
      },
      async end(id: string, code: number, reason: string) {
        return (await run('end', id, 0, `${code} ${reason}`)) === 1
      },
      async close() {
        subscriber.destroy()
      },
    }
  }

  return { open }
}
