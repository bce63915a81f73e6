// The scripts of the Redis store. Every step is one script, so that it happens as a whole or not at all. Every key expires, so that a
// node that dies leaves nothing behind for good. Keys, after the prefix:
//
//   s:ID  hash    tokens (digests, oldest first), user, node, epoch, seq, acked, bytes, turn, away (not connected)
//   b:ID  stream  unacknowledged frames; their stream ids are the sequence numbers
//   d:ID  zset    ids of processed messages, by turn
//   j:ID  set     groups of the session
//   g:GROUP  set  sessions in the group; g: is the group of all sessions
//   o:NODE  string  the place of the node's last commit, so that commits cannot overtake one another
//   n:NODE   channel of a node
import { MAX_LATER, SLOW, TRY_AGAIN_LATER } from './store.js'

/** Precedes every script: the settings of the store as the first arguments, and functions. */
export const LIBRARY = `
local P, ttl, most, bytes, groups, window = unpack(ARGV, 1, 6)
most, bytes, groups, window = tonumber(most), tonumber(bytes), tonumber(groups), tonumber(window)
local call = redis.call
local function S(id) return P .. 's:' .. id end
local function B(id) return P .. 'b:' .. id end
local function D(id) return P .. 'd:' .. id end
local function J(id) return P .. 'j:' .. id end
local function G(group) return P .. 'g:' .. group end
local function notify(node, event)
  if node and node ~= '' then call('PUBLISH', P .. 'n:' .. node, event) end
end
local function expire(id, ms)
  for _, key in ipairs({ S(id), B(id), D(id), J(id) }) do call('PEXPIRE', key, ms) end
end
local function owns(id, epoch) return call('HGET', S(id), 'epoch') == epoch end
local function forget(id, close)
  local kept = call('HMGET', S(id), 'node', 'user')
  local code, reason = string.match(close, '^(%d+) (.*)$')
  local event = { kind = 'ended', session = id, userId = kept[2] or '', code = tonumber(code), reason = reason }
  notify(kept[1], cjson.encode(event))
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
local id, epoch = ARGV[7], ARGV[8]
`

export const SCRIPTS = {
  create: `
    local token, user, node = unpack(ARGV, 9, 11)
    call('HSET', S(id), 'tokens', token, 'user', user, 'node', node, 'epoch', 1, 'seq', 0, 'acked', 0, 'bytes', 0)
    call('PEXPIRE', S(id), ttl)
    join(id, '')
    for i = 12, #ARGV do join(id, ARGV[i]) end
    return 1`,

  resume: `
    local token, user, node, after = unpack(ARGV, 9, 12)
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
    call('HDEL', S(id), 'away')
    expire(id, ttl)
    for _, group in ipairs(call('SMEMBERS', J(id))) do call('PEXPIRE', G(group), ttl) end
    if kept[3] ~= node then notify(kept[3], cjson.encode({ kind = 'moved', session = id, epoch = mine })) end
    return { mine, tonumber(kept[4]), tonumber(kept[5]), call('ZRANGE', D(id), 0, -1) }`,

  confirm: `
    if owns(id, epoch) then call('HSET', S(id), 'tokens', string.match(call('HGET', S(id), 'tokens'), '%S+$')) end
    return 1`,

  commit: `
    local ack, patient, lane, place, force = unpack(ARGV, 9, 13)
    local last = call('GET', P .. 'o:' .. lane)
    if last and tonumber(last) ~= tonumber(place) - 1 and force == '0' then return { 'early', 0 } end
    call('SET', P .. 'o:' .. lane, place, 'PX', ttl)
    if id ~= '' then
      if not owns(id, epoch) then return { 'lost', 0 } end
      if ack ~= '' and call('ZSCORE', D(id), ack) then return { 'duplicate', 0 } end
    end
    local more = {}
    for i = 14, #ARGV, 4 do
      local kind, target, other = ARGV[i], ARGV[i + 1], ARGV[i + 2]
      if kind == 'members' and call('SISMEMBER', J(id), target) == 0 then return { 'forbidden', 0 } end
      if kind == 'join' and call('SISMEMBER', J(other), target) == 0 then
        -- The names are the clients': nothing of ours may be among them.
        local new = more[other] or { count = 0, names = {} }
        if not new.names[target] then new.count = new.count + 1 end
        new.names[target] = true
        more[other] = new
        if call('SCARD', J(other)) + new.count > groups + 1 then return { 'full', 0 } end
      end
    end
    -- Read once for each session, and kept up to date.
    local boxes = {}
    local function box(to)
      if boxes[to] == nil then
        local kept = call('HMGET', S(to), 'bytes', 'node', 'away')
        boxes[to] = kept[1] and { bytes = tonumber(kept[1]), node = kept[2], away = kept[3], count = call('XLEN', B(to)) } or false
      end
      return boxes[to]
    end
    local function fits(kept, size, count, extra) return kept.count + count < most and kept.bytes + extra + size <= bytes end
    if patient == '1' then
      local added = {}
      for i = 14, #ARGV, 4 do
        local kind, target, other, frame = unpack(ARGV, i, i + 3)
        if kind == 'publish' or kind == 'members' then
          for _, to in ipairs(call('SMEMBERS', G(target))) do
            local kept = to ~= other and box(to)
            if kept and not kept.away then
              local more = added[to] or { count = 0, bytes = 0 }
              if not fits(kept, #frame, more.count, more.bytes) then return { 'busy', 0 } end
              more.count, more.bytes = more.count + 1, more.bytes + #frame
              added[to] = more
            end
          end
        end
      end
    end
    if ack ~= '' then
      call('ZADD', D(id), call('HINCRBY', S(id), 'turn', 1), ack)
      call('ZREMRANGEBYRANK', D(id), 0, -1 - window)
      call('PEXPIRE', D(id), call('PTTL', S(id)))
    end
    local notified = {}
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
    local count = 0
    for i = 14, #ARGV, 4 do
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
    for to, node in pairs(notified) do notify(node, cjson.encode({ kind = 'messages', session = to })) end
    return { 'done', count }`,

  read: `
    if not owns(id, epoch) then return false end
    local found = {}
    for _, entry in ipairs(call('XRANGE', B(id), '(' .. ARGV[9] .. '-0', '+', 'COUNT', ARGV[10])) do
      found[#found + 1] = string.match(entry[1], '%d+')
      found[#found + 1] = entry[2][2]
    end
    return found`,

  acknowledge: `
    if not owns(id, epoch) then return 0 end
    local kept = call('HMGET', S(id), 'seq', 'acked')
    local last = math.min(tonumber(ARGV[9]), tonumber(kept[1]))
    if last <= tonumber(kept[2]) then return 0 end
    local freed = 0
    for _, entry in ipairs(call('XRANGE', B(id), '-', string.format('%.0f', last))) do freed = freed + #entry[2][2] end
    call('XTRIM', B(id), 'MINID', string.format('%.0f', last + 1))
    call('HINCRBY', S(id), 'bytes', -freed)
    call('HSET', S(id), 'acked', string.format('%.0f', last))
    return 1`,

  touch: `
    local newest = {}
    for i = 7, #ARGV, 2 do
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
    if owns(id, epoch) then
      call('HSET', S(id), 'away', 1)
      expire(id, ARGV[9])
    end
    return 1`,

  end: `
    if call('EXISTS', S(id)) == 0 then return 0 end
    forget(id, ARGV[9])
    return 1`,
}
