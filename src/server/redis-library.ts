// The functions that the scripts of the Redis store share.
import { INCOMPLETE, SLOW, TRY_AGAIN_LATER } from './store.js'

/** The number of deliveries of one script. Each takes some 15 µs. */
export const CHUNK: number = 100

/** The number of bytes that one script may copy to recipients. */
export const CHUNK_BYTES: number = 2 ** 20

/** Precedes every script: the settings of the store as the first arguments, and functions. */
export const LIBRARY: string = `
local P, ttl, most, bytes, groups, window = unpack(ARGV, 1, 6)
ttl, most, bytes, groups, window = tonumber(ttl), tonumber(most), tonumber(bytes), tonumber(groups), tonumber(window)
local call = redis.call
local function S(id) return P .. 's:' .. id end
local function B(id) return P .. 'b:' .. id end
local function D(id) return P .. 'd:' .. id end
local function J(id) return P .. 'j:' .. id end
local function G(group) return P .. 'g:' .. group end
local function Y(group) return P .. 'y:' .. group end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function notify(node, event)
  if node and node ~= '' then call('PUBLISH', P .. 'n:' .. node, event) end
end
local function enter(id, group, ms)
  local added = call('ZADD', G(group), 0, id)
  call('ZADD', Y(group), string.format('%.0f', now + ms), id)
  call('PEXPIRE', G(group), ttl)
  call('PEXPIRE', Y(group), ttl)
  return added == 1
end
local function exit(id, group)
  call('ZREM', G(group), id)
  call('ZREM', Y(group), id)
end
-- Sessions that have expired are still in their groups. A few at a time, so that this never takes long.
local function sweep(group)
  local dead = call('ZRANGEBYSCORE', Y(group), '-inf', now - 1, 'LIMIT', 0, ${CHUNK})
  for _, id in ipairs(dead) do exit(id, group) end
  return #dead
end
local function owns(id, epoch) return call('HGET', S(id), 'epoch') == epoch end
local function forget(id, close)
  local kept = call('HMGET', S(id), 'node', 'user')
  local code, reason = string.match(close, '^(%d+) (.*)$')
  local event = { kind = 'ended', session = id, userId = kept[2] or '', code = tonumber(code), reason = reason }
  notify(kept[1], cjson.encode(event))
  for _, group in ipairs(call('SMEMBERS', J(id))) do exit(id, group) end
  call('DEL', S(id), B(id), D(id), J(id))
end
-- Returns whether the session is whole. Where Redis has lost a key of it, a message may be lost, and its client must be told.
local function expire(id, ms)
  local list = call('SMEMBERS', J(id))
  local whole = #list > 0
  for _, group in ipairs(list) do
    if enter(id, group, tonumber(ms)) then whole = false end
  end
  if not whole then
    forget(id, '1008 ${INCOMPLETE}')
    return false
  end
  for _, key in ipairs({ S(id), B(id), D(id), J(id) }) do call('PEXPIRE', key, ms) end
  return true
end
local function join(id, group)
  local rest = call('PTTL', S(id))
  enter(id, group, rest)
  call('SADD', J(id), group)
  if rest > 0 then call('PEXPIRE', J(id), rest) end
end
local function leave(id, group)
  exit(id, group)
  return call('SREM', J(id), group)
end
-- What is known of the sessions' backlogs: read once for each, and kept up to date.
local boxes, notified = {}, {}
local function box(to)
  if boxes[to] == nil then
    local kept = call('HMGET', S(to), 'bytes', 'node', 'away')
    boxes[to] = kept[1] and { bytes = tonumber(kept[1]), node = kept[2], away = kept[3], count = call('XLEN', B(to)) } or false
  end
  return boxes[to]
end
local function fits(kept, size, count, extra) return kept.count + count < most and kept.bytes + extra + size <= bytes end
local function deliver(to, frame)
  local kept = box(to)
  if not kept then return 0 end
  if not fits(kept, #frame, 0, 0) then
    forget(to, '${TRY_AGAIN_LATER} ${SLOW}')
    boxes[to] = false
    return 0
  end
  local seq = call('HINCRBY', S(to), 'seq', 1)
  call('XADD', B(to), string.format('%.0f-0', seq), 'f', frame)
  if kept.count == 0 then call('PEXPIRE', B(to), call('PTTL', S(to))) end
  call('HINCRBY', S(to), 'bytes', #frame)
  kept.count, kept.bytes = kept.count + 1, kept.bytes + #frame
  notified[to] = kept.node
  return kept.count
end
local function flush()
  for to, node in pairs(notified) do notify(node, cjson.encode({ kind = 'messages', session = to })) end
end
local function isPublish(kind) return kind == 'publish' or kind == 'members' end
local function apply(kind, target, other, frame)
  if kind == 'send' then return deliver(target, frame) end
  if kind == 'leave' then return leave(other, target) end
  if kind == 'join' then
    local is = call('EXISTS', S(other))
    if is == 1 then join(other, target) end
    return is
  end
  sweep(target)
  local count = 0
  for _, to in ipairs(call('ZRANGE', G(target), 0, -1)) do
    if not box(to) then exit(to, target) elseif to ~= other and deliver(to, frame) > 0 then count = count + 1 end
  end
  return count
end
local id, epoch = ARGV[7], ARGV[8]
`
