// The functions that the scripts of the Redis store share.
import { INCOMPLETE, SLOW, TRY_AGAIN_LATER } from './store.js'

/** The number of deliveries of one script. Each takes some 5 µs. */
export const CHUNK: number = 200

/** The number of other entries that one script may access: this takes some 3 ms. */
export const BUDGET: number = 1_500

/** A node that has not refreshed its entry for this long is not waited for. Nodes do so every 5 seconds. */
const NODE_TIMEOUT = 15_000

/** How long nodes may take to compare their own records with Redis after it was restarted or replaced. */
const CHECK_TIMEOUT = 10_000

/** Precedes every script: the settings of the store and of the node as the first arguments, and functions. */
export const LIBRARY: string = `
local P, ttl, most, bytes, groups, window, me, answered, id, epoch = unpack(ARGV, 1, 10)
ttl, most, bytes = tonumber(ttl), tonumber(most), tonumber(bytes)
groups, window = tonumber(groups), tonumber(window)
-- The place of the last commit that the node was told of, and the era at that time.
local known, before = string.match(answered, '^(%d+) (.*)$')
known = tonumber(known)
local call = redis.call
local E, N, V = P .. 'e', P .. 'n', P .. 'v'
local function S(id) return P .. 's:' .. id end
local function D(id) return P .. 'd:' .. id end
local function J(id) return P .. 'j:' .. id end
local function G(group) return P .. 'g:' .. group end
local function Y(group) return P .. 'y:' .. group end
local function M(bucket) return P .. 'm:' .. bucket end
local function O(node) return P .. 'o:' .. node end
local function I(owner) return P .. 'i:' .. owner end
local function H(owner, message) return P .. 'h:' .. message .. ':' .. owner end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Frames are kept in buckets of half a minute, each of which expires as a whole.
local today = math.floor(now / 30000)
-- How long a session that nobody renews is kept. It stays in Redis for a little longer, so that its end can be reported.
local lease = math.floor(ttl * 3 / 4)
local work = 0
local root = call('HMGET', E, 'run', 'id', 'since', 'ended')
local run, era, since, ended = root[1], root[2], tonumber(root[3] or nil), root[4]

-- Numbers as text, each made once: most sessions of a group have the same.
local text = setmetatable({}, {
  __index = function(made, number)
    local found = string.format('%.0f', number)
    made[number] = found
    return found
  end
})
local function notify(node, event) call('PUBLISH', P .. 'n:' .. node, event) end
local function alive(node) return tonumber(call('ZSCORE', N, node) or 0) > now - ${NODE_TIMEOUT} end
local function whole(number) return string.format('%.0f', number) end

-- Entries of a session: '=BUCKET:FRAME', or '@BUCKET:NUMBER:SIZE' for a frame that is shared. Returns the size of the frame.
local freed, sizes = {}, {}
local function release(entry)
  local size = sizes[entry]
  if not size then
    size = tonumber(string.match(entry, '^@%d+:%d+:(%d+)$'))
    if not size then return #entry - string.find(entry, ':', 1, true) end
    sizes[entry] = size
  end
  freed[entry] = (freed[entry] or 0) + 1
  return size
end
local function settle()
  for entry, count in pairs(freed) do
    local bucket, n = string.match(entry, '^@(%d+):(%d+)')
    if call('HINCRBY', M(bucket), 'r' .. n, -count) <= 0 then call('HDEL', M(bucket), n, 'r' .. n) end
    work = work + 2
  end
  freed = {}
end
local function names(first, last)
  local list = {}
  for n = first, last do list[#list + 1] = 'm' .. text[n] end
  return list
end

local function enter(id, group, till)
  local added = call('ZADD', G(group), 0, id)
  call('ZADD', Y(group), whole(till), id)
  call('PEXPIRE', G(group), ttl)
  call('PEXPIRE', Y(group), ttl)
  return added == 1
end
local function exit(id, group)
  call('ZREM', G(group), id)
  call('ZREM', Y(group), id)
end
local function forget(id, close)
  local kept = call('HMGET', S(id), 'node', 'user', 'acked', 'seq')
  local code, reason = string.match(close, '^(%d+) (.*)$')
  local event = { kind = 'ended', session = id, userId = kept[2] or '', code = tonumber(code), reason = reason }
  if kept[1] then notify(alive(kept[1]) and kept[1] or me, cjson.encode(event)) end
  local list = call('SMEMBERS', J(id))
  for _, group in ipairs(list) do exit(id, group) end
  exit(id, '')
  work = work + 2 * #list + 5
  local first, last = tonumber(kept[3] or 0) + 1, tonumber(kept[4] or 0)
  -- What is not released here expires with its bucket.
  if first <= last and last - first < 1000 and work < ${BUDGET} then
    for _, entry in ipairs(call('HMGET', S(id), unpack(names(first, last)))) do
      if entry then release(entry) end
    end
    work = work + last - first
    settle()
  end
  call('DEL', S(id), D(id), J(id))
end
-- Sessions that nobody has renewed in time. A few at a time, so that this never takes long.
local function sweep(group)
  local count = 0
  for _, id in ipairs(call('ZRANGEBYSCORE', Y(group), '-inf', now - 1, 'LIMIT', 0, 100)) do
    if work >= ${BUDGET} then break end
    exit(id, group)
    forget(id, '1008 the session has expired')
    count = count + 1
  end
  return count
end
local function isExpired(id) return tonumber(call('ZSCORE', Y(''), id) or 0) < now end

local function owns(id, epoch)
  local kept = call('HMGET', S(id), 'epoch', 'era')
  if kept[1] ~= epoch then return false end
  if kept[2] ~= era then forget(id, '1008 ${INCOMPLETE}') end
  return kept[2] == era
end

-- Returns whether the session is whole. Where Redis has lost a key of it, a message may be lost, and its client must be told.
local oldest = today
local function renew(id, till)
  local list = call('SMEMBERS', J(id))
  local found = #list > 0
  for _, group in ipairs(list) do
    if enter(id, group, till) then found = false end
  end
  work = work + 4 * #list + 10
  if not found then
    forget(id, '1008 ${INCOMPLETE}')
    return false
  end
  for _, key in ipairs({ S(id), D(id), J(id) }) do call('PEXPIRE', key, ttl) end
  local kept = call('HMGET', S(id), 'acked', 'seq')
  if kept[1] ~= kept[2] then
    local entry = call('HGET', S(id), 'm' .. (kept[1] + 1))
    oldest = math.min(oldest, tonumber(entry and string.match(entry, '^.(%d+):') or today))
  end
  return true
end
-- Shared frames live as long as the sessions that have not received them.
local function renewFrames()
  call('PEXPIRE', E, ttl)
  for bucket = oldest, today do call('PEXPIRE', M(bucket), ttl) end
end
local function join(id, group)
  enter(id, group, tonumber(call('ZSCORE', Y(''), id) or (now + lease)))
  call('SADD', J(id), group)
  call('PEXPIRE', J(id), ttl)
end
local function leave(id, group)
  exit(id, group)
  return call('SREM', J(id), group)
end

-- What is known of the sessions' backlogs: read once for each, and kept up to date.
local boxes = {}
local function box(to)
  local kept = boxes[to]
  if kept == nil then
    local found = call('HMGET', S(to), 'seq', 'acked', 'bytes', 'node', 'away', 'era')
    kept = false
    if found[1] and found[6] ~= era then
      forget(to, '1008 ${INCOMPLETE}')
    elseif found[1] then
      local seq = tonumber(found[1])
      kept = { seq = seq, count = seq - found[2], bytes = tonumber(found[3]), node = found[4], away = found[5] == '1' }
    end
    boxes[to] = kept
  end
  return kept
end
local function fits(kept, size, count, extra) return kept.count + count < most and kept.bytes + extra + size <= bytes end
-- Addresses of the frame that is being delivered, by node.
local mail = {}
local function deliver(to, entry, size)
  local kept = box(to)
  if not kept then return 0 end
  if not fits(kept, size, 0, 0) then
    forget(to, '${TRY_AGAIN_LATER} ${SLOW}')
    boxes[to] = false
    return 0
  end
  local seq = kept.seq + 1
  kept.seq, kept.count, kept.bytes = seq, kept.count + 1, kept.bytes + size
  local number = text[seq]
  call('HSET', S(to), 'seq', number, 'bytes', text[kept.bytes], 'm' .. number, entry)
  local list = mail[kept.node]
  if not list then
    list = {}
    mail[kept.node] = list
  end
  list[#list + 1] = to
  list[#list + 1] = number
  return kept.count
end
-- One notice for each node. 'told': the nodes that know the frame already, in text.
local function post(name, frame, told)
  for node, list in pairs(mail) do
    local head = name .. ' ' .. table.concat(list, ' ')
    if told and string.find(told, ' ' .. node .. ' ', 1, true) then
      notify(node, head)
    else
      notify(node, head .. '\\n' .. frame)
      told = told and told .. node .. ' '
    end
  end
  mail = {}
  return told
end
-- Stores a frame that several sessions will refer to.
local function share(frame)
  local n = call('HINCRBY', M(today), 'n', 1)
  call('HSET', M(today), n, frame, 'r' .. n, 1)
  call('PEXPIRE', M(today), ttl)
  return '@' .. today .. ':' .. n .. ':' .. #frame
end
-- There are so many more references to a shared frame.
local function refer(entry, count)
  local bucket, n = string.match(entry, '^@(%d+):(%d+):')
  if call('HINCRBY', M(bucket), 'r' .. n, count) <= 0 then call('HDEL', M(bucket), n, 'r' .. n) end
  call('PEXPIRE', M(bucket), ttl)
end

-- From here on, no session that was begun before can be continued.
local function endAll()
  era = me .. '.' .. time[1] .. '.' .. time[2]
  ended = run
  call('HSET', E, 'id', era, 'ended', run)
  call('HDEL', E, 'since')
  call('DEL', V)
  since = nil
end
-- Returns false while it is not known whether Redis has lost something. After a restart or a failover, every node compares what it has been
-- told with what Redis has now: the place of its last confirmed commit, and the numbers of the messages that clients were sent.
local function isTrusted()
  local info = redis.pcall('INFO', 'replication')
  info = type(info) == 'string' and info or 'role:master'
  -- A replica must not answer, because it may be behind: this fails with READONLY.
  if not string.find(info, 'role:master', 1, true) then call('PEXPIRE', E, ttl) end
  local found = string.match(info, 'master_replid:(%w+)') or ''
  if not era then
    run = found
    call('HSET', E, 'run', found)
    endAll()
  elseif run ~= found then
    local last = call('ZRANGE', N, -1, -1, 'WITHSCORES')
    for _, node in ipairs(last[2] and call('ZRANGEBYSCORE', N, last[2] - ${NODE_TIMEOUT}, '+inf') or {}) do
      call('SADD', V, node)
      notify(node, '{"kind":"check"}')
    end
    since = now
    run = found
    call('HSET', E, 'run', found, 'since', whole(now))
    call('PEXPIRE', V, ttl)
  end
  local place = tonumber(call('HGET', O(me), 'place') or 0)
  if known > place then
    -- Another node may have noticed the same loss. The sessions that were begun since then have lost nothing.
    if ended ~= run or before == era then endAll() end
    call('HSET', O(me), 'place', whole(known))
  end
  if not since then return true end
  if call('EXISTS', V) == 1 and now <= since + ${CHECK_TIMEOUT} then return false end
  if call('EXISTS', V) == 1 then endAll() end
  call('HDEL', E, 'since')
  since = nil
  return true
end
`
