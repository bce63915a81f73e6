// The scripts of the Redis store. Every step is one script, so that it happens as a whole or not at all. Every key expires, so that a
// node that dies leaves no permanent keys. No script does more than `CHUNK` deliveries, so that Redis answers others in between.
// Keys, after the prefix:
//
//   s:ID  hash    tokens (digests, oldest first), user, node, epoch, seq, acked, bytes, turn, away (not connected)
//   b:ID  stream  unacknowledged frames; their stream ids are the sequence numbers
//   d:ID  zset    ids of processed messages, by turn
//   j:ID  set     groups of the session
//   g:GROUP  zset  sessions in the group, in alphabetical order; g: is the group of all sessions
//   y:GROUP  zset  the same sessions, by the time at which they expire
//   p:ID  hash    effects that a commit of the session (or of a node) has yet to apply, and how far it is
//   o:NODE  string  the place of the node's last commit, so that commits cannot overtake one another
//   n:NODE   channel of a node
import { CHUNK, CHUNK_BYTES } from './redis-library.js'
import { INCOMPLETE, MAX_LATER } from './store.js'

export const SCRIPTS = {
  create: `
    local token, user, node, max = unpack(ARGV, 9, 12)
    if max ~= '' then
      sweep('')
      if call('ZCARD', G('')) >= tonumber(max) then return 0 end
    end
    call('HSET', S(id), 'tokens', token, 'user', user, 'node', node, 'epoch', 1, 'seq', 0, 'acked', 0, 'bytes', 0)
    call('PEXPIRE', S(id), ttl)
    join(id, '')
    for i = 13, #ARGV do join(id, ARGV[i]) end
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
    if not expire(id, ttl) then return false end
    if kept[3] ~= node then notify(kept[3], cjson.encode({ kind = 'moved', session = id, epoch = mine })) end
    return { mine, tonumber(kept[4]), tonumber(kept[5]), call('ZRANGE', D(id), 0, -1), call('EXISTS', P .. 'p:' .. id) }`,

  confirm: `
    if owns(id, epoch) then call('HSET', S(id), 'tokens', string.match(call('HGET', S(id), 'tokens'), '%S+$')) end
    return 1`,

  commit: `
    local ack, patient, lane, place, force, job = unpack(ARGV, 9, 14)
    local first = 15
    local last = tonumber(call('GET', P .. 'o:' .. lane) or 0)
    if last ~= tonumber(place) - 1 and force == '0' then return { 'early', 0 } end
    local function pass() call('SET', P .. 'o:' .. lane, place, 'PX', ttl) end
    local function refuse(outcome)
      pass()
      return { outcome, 0 }
    end
    if id ~= '' then
      if not owns(id, epoch) then return refuse('lost') end
      if ack ~= '' and call('ZSCORE', D(id), ack) then return refuse('duplicate') end
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
        if call('SCARD', J(other)) + new.count > groups + 1 then return refuse('full') end
      end
    end
    -- From the first publication on that is too much for one script, everything waits for 'fan'.
    local rest, work, size = first, 0, 0
    while rest <= #ARGV do
      if isPublish(ARGV[rest]) then
        local members = call('ZCARD', G(ARGV[rest + 1]))
        work, size = work + members, size + members * #ARGV[rest + 3]
        if work > ${CHUNK} or (size > ${CHUNK_BYTES} and members > 1) then break end
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
      call('PEXPIRE', D(id), call('PTTL', S(id)))
    end
    local count = 0
    for i = first, rest - 1, 4 do count = apply(unpack(ARGV, i, i + 3)) end
    flush()
    if rest > #ARGV then
      pass()
      return { 'done', count }
    end
    local key = P .. 'p:' .. job
    call('HSET', key, 'at', rest, 'last', #ARGV, 'count', 0, 'cursor', '-')
    for i = rest, #ARGV do call('HSET', key, i, ARGV[i]) end
    call('PEXPIRE', key, ttl)
    -- What others publish need not wait for the members of this client's group.
    if id ~= '' then pass() end
    return { 'more', count }`,

  // Goes on with what a commit has left to do: one chunk.
  fan: `
    local patient, lane, place = unpack(ARGV, 9, 11)
    local key = P .. 'p:' .. id
    local at, last, count, cursor = unpack(call('HMGET', key, 'at', 'last', 'count', 'cursor'))
    if not at then return { 'done', 0 } end
    at, last, count = tonumber(at), tonumber(last), tonumber(count)
    local kind, target, other, frame = unpack(call('HMGET', key, at, at + 1, at + 2, at + 3))
    local status = 'more'
    if isPublish(kind) then
      if cursor == '-' then sweep(target) end
      local limit = math.max(1, math.min(${CHUNK}, math.floor(${CHUNK_BYTES} / #frame)))
      local found = call('ZRANGEBYLEX', G(target), cursor, '+', 'LIMIT', 0, limit)
      for _, to in ipairs(found) do
        if to ~= other then
          local kept = patient == '1' and box(to)
          if kept and not kept.away and not fits(kept, #frame, 0, 0) then
            status = 'busy'
            break
          end
          if not box(to) then exit(to, target) elseif deliver(to, frame) > 0 then count = count + 1 end
        end
        cursor = '(' .. to
      end
      flush()
      if status == 'busy' or #found == limit then
        call('HSET', key, 'count', count, 'cursor', cursor)
        call('PEXPIRE', key, ttl)
        return { status, count }
      end
    else
      count = apply(kind, target, other, frame)
      flush()
    end
    if at + 4 <= last then
      call('HSET', key, 'at', at + 4, 'count', 0, 'cursor', '-')
      return { 'more', count }
    end
    call('DEL', key)
    if lane ~= '' then call('SET', P .. 'o:' .. lane, place, 'PX', ttl) end
    return { 'done', count }`,

  read: `
    if not owns(id, epoch) then return false end
    local kept = call('HMGET', S(id), 'seq', 'acked')
    if call('XLEN', B(id)) ~= kept[1] - kept[2] then
      forget(id, '1008 ${INCOMPLETE}')
      return false
    end
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
      if owns(id, epoch) and expire(id, ttl) then
        newest[#newest + 1] = tonumber(call('HGET', S(id), 'seq'))
      else
        newest[#newest + 1] = -1
      end
    end
    return newest`,

  sweep: `return sweep('')`,

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
