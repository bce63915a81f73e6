// The scripts that apply effects. What they store is described in redis-scripts.ts.
import { BUDGET, CHUNK } from './redis-library.js'
import { INCOMPLETE } from './store.js'

/**
 * The number of outcomes that Redis remembers for each node: some clients of Redis send a command again after they have lost their
 * connection.
 */
const OUTCOMES = 512

/** Functions that the scripts of a commit share. */
const EFFECTS = `
local function isPublish(kind) return kind == 'publish' or kind == 'members' end
local function slot(place) return 'a' .. (place % ${OUTCOMES}) end
local function pass(place, outcome, count)
  call('HSET', O(me), 'place', place, slot(place), place .. ' ' .. outcome .. ' ' .. count)
  call('PEXPIRE', O(me), ttl)
  call('PEXPIRE', E, ttl)
end
-- With the Redis that gave it, and the era.
local function answer(outcome, count) return { outcome, count, run, era } end
local function outcomeOf(place)
  local found, outcome, count = string.match(call('HGET', O(me), slot(place)) or '', '^(%d+) (%a+) (%d+)$')
  if found ~= place then return answer('unknown', 0) end
  return answer(outcome, tonumber(count))
end
local function send(to, frame)
  local kept = box(to)
  if kept and kept.away and isExpired(to) then
    forget(to, '1008 the session has expired')
    boxes[to] = false
  end
  local count = deliver(to, '=' .. today .. ':' .. frame, #frame)
  post('-', frame)
  return count
end
local function publish(group, except, frame)
  sweep(group)
  local members = call('ZRANGE', G(group), 0, -1)
  local count, entry, body = 0, nil, '-'
  for _, to in ipairs(members) do
    if to ~= except then
      if not entry then
        entry = #members > 1 and share(frame) or '=' .. today .. ':' .. frame
        body = string.match(entry, '^@(%d+:%d+)') or '-'
      end
      if not box(to) then exit(to, group) elseif deliver(to, entry, #frame) > 0 then count = count + 1 end
    end
  end
  post(body, frame)
  if body ~= '-' then refer(entry, count - 1) end
  return count
end
-- A few old ones are forgotten each time: more than can be added, so that there are never many.
local function rememberMessage(owner, message, idTimeout, maxIds)
  call('DEL', H(owner, message))
  call('ZADD', I(owner), whole(now), message)
  call('PEXPIRE', I(owner), idTimeout)
  local old = call('ZRANGEBYSCORE', I(owner), '-inf', now - idTimeout, 'LIMIT', 0, 10)
  if #old > 0 then call('ZREM', I(owner), unpack(old)) end
  local excess = call('ZCARD', I(owner)) - maxIds
  if excess > 0 then call('ZREMRANGEBYRANK', I(owner), 0, math.min(excess, 10) - 1) end
end
local function apply(kind, target, other, frame)
  if kind == 'send' then return send(target, frame) end
  if kind == 'leave' then return leave(other, target) end
  if kind == 'join' then
    local is = call('EXISTS', S(other))
    if is == 1 then join(other, target) end
    return is
  end
  return publish(target, other, frame)
end
`

export const COMMIT: string = `${EFFECTS}
local ack, patient, place, force, job, message, owner, idTimeout, maxIds = unpack(ARGV, 11, 19)
local first = 20
if not isTrusted() then return answer('wait', 0) end
local last = tonumber(call('HGET', O(me), 'place') or 0)
if tonumber(place) <= last then return outcomeOf(place) end
if call('EXISTS', P .. 'p:' .. job) == 1 and id == '' then return answer('more', 0) end
if last ~= tonumber(place) - 1 and force == '0' then return answer('early', 0) end
local function refuse(outcome)
  pass(place, outcome, 0)
  return answer(outcome, 0)
end
if id ~= '' then
  if not owns(id, epoch) then return refuse('lost') end
  if ack ~= '' and call('ZSCORE', D(id), ack) then return refuse('duplicate') end
  if message ~= '' and call('ZSCORE', I(owner), message) then return refuse('duplicate') end
end
local more = {}
for i = first, #ARGV, 4 do
  local kind, target, other = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if kind == 'members' and call('SISMEMBER', J(id), target) == 0 then return refuse('forbidden') end
  if kind == 'join' and call('SISMEMBER', J(other), target) == 0 then
    -- The names are the clients': nothing of ours may be among them.
    local new = more[other] or { count = 0, names = {} }
    if not new.names[target] then new.count = new.count + 1 end
    new.names[target] = true
    more[other] = new
    -- The group of all sessions and that of the user do not count.
    local own = (call('HGET', S(other), 'user') or '') == '' and 1 or 2
    if call('SCARD', J(other)) + new.count > groups + own then return refuse('full') end
  end
end
-- From the first publication on that is too much for one script, everything waits for 'fan'.
local rest, deliveries = first, 0
while rest <= #ARGV do
  if isPublish(ARGV[rest]) then
    deliveries = deliveries + call('ZCARD', G(ARGV[rest + 1]))
    if deliveries > ${CHUNK} then break end
  end
  rest = rest + 4
end
if patient == '1' then
  local added = {}
  for i = first, rest - 1, 4 do
    local kind, target, other, frame = unpack(ARGV, i, i + 3)
    for _, to in ipairs(isPublish(kind) and call('ZRANGE', G(target), 0, -1) or {}) do
      local kept = to ~= other and box(to)
      if kept and not kept.away then
        local more = added[to] or { count = 0, bytes = 0 }
        if not fits(kept, #frame, more.count, more.bytes) then return refuse('busy') end
        more.count, more.bytes = more.count + 1, more.bytes + #frame
        added[to] = more
      end
    end
  end
end
if ack ~= '' then
  local turn = call('HINCRBY', S(id), 'turn', 1)
  if turn > 1 and call('EXISTS', D(id)) == 0 then
    forget(id, '1008 ${INCOMPLETE}')
    return refuse('lost')
  end
  call('ZADD', D(id), turn, ack)
  call('ZREMRANGEBYRANK', D(id), 0, -1 - window)
  call('PEXPIRE', D(id), ttl)
end
if message ~= '' then rememberMessage(owner, message, tonumber(idTimeout), tonumber(maxIds)) end
local count = 0
for i = first, rest - 1, 4 do count = apply(unpack(ARGV, i, i + 3)) end
if rest > #ARGV then
  pass(place, 'done', count)
  return answer('done', count)
end
local key = P .. 'p:' .. job
call('HSET', key, 'at', rest, 'last', #ARGV, 'count', 0, 'cursor', '-')
for i = rest, #ARGV do call('HSET', key, i, ARGV[i]) end
call('PEXPIRE', key, ttl)
-- What others publish need not wait for the members of this client's group.
if id ~= '' then pass(place, 'more', count) end
return answer('more', count)`

// Continues a commit that is not complete: one chunk.
export const FAN: string = `${EFFECTS}
local patient, place, passes = unpack(ARGV, 11, 13)
if not isTrusted() then return answer('wait', 0) end
local key = P .. 'p:' .. id
local at, last, count, cursor, entry, told = unpack(call('HMGET', key, 'at', 'last', 'count', 'cursor', 'entry', 'told'))
if not at then
  -- Somebody else has completed it, unless Redis has lost it.
  local known = place ~= '0' and outcomeOf(place) or answer('done', 0)
  if known[1] == 'more' then known[1] = 'done' end
  return known
end
at, last, count = tonumber(at), tonumber(last), tonumber(count)
local kind, target, other, frame = unpack(call('HMGET', key, at, at + 1, at + 2, at + 3))
if isPublish(kind) then
  if cursor == '-' then
    sweep(target)
    entry, told = share(frame), ' '
  end
  local status, reached = 'done', 0
  local found = call('ZRANGEBYLEX', G(target), cursor, '+', 'LIMIT', 0, ${CHUNK})
  for i, to in ipairs(found) do
    if to ~= other then
      local kept = box(to)
      if kept and patient == '1' and not kept.away and not fits(kept, #frame, 0, 0) then
        status = 'busy'
        if cursor == '-' then cursor = '[' .. to end
        break
      end
      if not kept then exit(to, target) elseif deliver(to, entry, #frame) > 0 then reached = reached + 1 end
    end
    cursor = '(' .. to
    if work >= ${BUDGET} or i == ${CHUNK} then
      status = 'more'
      break
    end
  end
  told = post(string.match(entry, '^@(%d+:%d+)'), frame, told)
  count = count + reached
  -- The job itself refers to the frame until it is done.
  refer(entry, status == 'done' and reached - 1 or reached)
  if status ~= 'done' then
    call('HSET', key, 'count', count, 'cursor', cursor, 'entry', entry, 'told', told)
    call('PEXPIRE', key, ttl)
    return answer(status, count)
  end
else
  count = apply(kind, target, other, frame)
end
if at + 4 <= last then
  call('HSET', key, 'at', at + 4, 'count', 0, 'cursor', '-')
  return answer('more', count)
end
call('DEL', key)
if passes == '1' then pass(place, 'done', count) end
return answer('done', count)`
