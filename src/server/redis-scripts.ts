// The scripts of the Redis store. Every step is one script, so that it happens as a whole or not at all. Every key expires, so that a
// node that dies leaves no permanent keys. No script does more than `CHUNK` deliveries or `BUDGET` other steps, so that Redis answers others
// in between. Keys, after the prefix:
//
//   e        hash    run (which Redis this is), id (the era: sessions of an older one are lost), since (nodes are being waited for), ended
//                    (the Redis in which the era began)
//   n        zset    nodes, by the time at which they last showed themselves
//   v        set     nodes that have yet to check whether Redis has lost one of their commits
//   s:ID     hash    seq, acked, bytes, node, away (not connected), era, epoch, tokens (digests, oldest first), user, turn,
//                    and mN, the entry of each unacknowledged message
//   d:ID     zset    ids of processed messages, by turn
//   j:ID     set     groups of the session
//   g:GROUP  zset    sessions in the group, in alphabetical order; g: is the group of all sessions
//   y:GROUP  zset    the same sessions, by the time at which they expire
//   m:BUCKET hash    frames that several sessions refer to, by number, and rN, the number of references
//   p:ID     hash    effects that a commit of the session (or of a node) has yet to apply, and how far it is
//   i:OWNER  zset    ids of processed messages that outlive sessions, by the time of processing
//   h:ID:OWNER       the session that processes this message, and its node
//   o:NODE   hash    the place of the node's last commit, so that commits cannot overtake one another, and the last outcomes
//   n:NODE   channel of a node
import { COMMIT, FAN } from './redis-commit.js'
import { BUDGET, CHUNK } from './redis-library.js'
import { INCOMPLETE, MAX_LATER, OUTDATED } from './store.js'

export const SCRIPTS = {
  open: `
    isTrusted()
    call('ZADD', N, whole(now), me)
    call('PEXPIRE', N, ttl)
    call('PEXPIRE', E, ttl)
    return 1`,

  close: `
    call('ZREM', N, me)
    call('SREM', V, me)
    call('DEL', O(me))
    return 1`,

  // Receives a node's records of its sessions: id, epoch and the newest number that the node has received. If Redis has a lower number, messages
  // that may have been sent to the client were lost, and the next messages would get their numbers.
  check: `
    local isLast = ARGV[11]
    isTrusted()
    for i = 12, #ARGV, 3 do
      local id, epoch, newest = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
      local kept = call('HMGET', S(id), 'epoch', 'seq')
      if kept[1] == epoch and tonumber(kept[2]) < newest then
        forget(id, '1008 ${OUTDATED}')
        -- What is missing of the others, nobody may know.
        if ended ~= run then endAll() end
      end
    end
    if isLast == '1' then call('SREM', V, me) end
    return isTrusted() and 1 or 0`,

  // Returns which Redis this is.
  which: `
    isTrusted()
    return run`,

  create: `
    local token, user, max, own = unpack(ARGV, 11, 14)
    if not isTrusted() then return 'wait' end
    if max ~= '' then
      sweep('')
      if call('ZCARD', G('')) >= tonumber(max) then return 0 end
    end
    call('HSET', S(id), 'seq', 0, 'acked', 0, 'bytes', 0, 'node', me, 'away', 0, 'era', era, 'epoch', 1, 'tokens', token, 'user', user)
    call('PEXPIRE', S(id), ttl)
    call('PEXPIRE', E, ttl)
    join(id, '')
    if own ~= '' then join(id, own) end
    for i = 15, #ARGV do join(id, ARGV[i]) end
    call('HSET', S(id), 'granted', cjson.encode({ unpack(ARGV, 15) }))
    return 1`,

  resume: `
    local token, user, after, refresh = unpack(ARGV, 11, 14)
    if not isTrusted() then return 'wait' end
    local kept = call('HMGET', S(id), 'tokens', 'user', 'node', 'seq', 'acked', 'era')
    if not kept[1] or kept[2] ~= user then return false end
    if kept[6] ~= era or isExpired(id) then
      forget(id, kept[6] ~= era and '1008 ${INCOMPLETE}' or '1008 the session has expired')
      return false
    end
    local tokens
    for one in string.gmatch(kept[1], '%S+') do
      if one == token then tokens = { one } elseif tokens then tokens[#tokens + 1] = one end
    end
    if not tokens then return false end
    while #tokens > 1 + ${MAX_LATER} do table.remove(tokens, 2) end
    if tokens[#tokens] ~= after then tokens[#tokens + 1] = after end
    -- First, because a Redis without memory allows it, and then everything that follows: the client's acknowledgements will free memory.
    call('PEXPIRE', S(id), ttl)
    local mine = call('HINCRBY', S(id), 'epoch', 1)
    call('HSET', S(id), 'tokens', table.concat(tokens, ' '), 'node', me, 'away', 0)
    if not renew(id, now + lease) then return false end
    renewFrames()
    if refresh == '1' then
      local granted = {}
      for i = 15, #ARGV do
        granted[ARGV[i]] = true
        join(id, ARGV[i])
      end
      for _, group in ipairs(cjson.decode(call('HGET', S(id), 'granted') or '[]')) do
        if not granted[group] then leave(id, group) end
      end
      call('HSET', S(id), 'granted', cjson.encode({ unpack(ARGV, 15) }))
    end
    if kept[3] ~= me then notify(kept[3], cjson.encode({ kind = 'moved', session = id, epoch = mine })) end
    return { mine, tonumber(kept[4]), tonumber(kept[5]), call('ZRANGE', D(id), 0, -1), call('EXISTS', P .. 'p:' .. id) }`,

  // Returns the place to continue from, '' at the end, and id, user, away and expiry of each session.
  members: `
    local group, cursor = ARGV[11], ARGV[12]
    local list = call('ZRANGEBYLEX', G(group), cursor, '+', 'LIMIT', 0, ${CHUNK})
    local found = { #list == ${CHUNK} and '(' .. list[#list] or '' }
    for _, to in ipairs(list) do
      local kept = call('HMGET', S(to), 'user', 'away', 'era')
      local till = tonumber(call('ZSCORE', Y(group), to) or 0)
      if kept[1] and kept[3] == era and till >= now then
        local n = #found
        found[n + 1], found[n + 2], found[n + 3], found[n + 4] = to, kept[1], kept[2], whole(till)
      end
    end
    return found`,

  progress: `
    local kept = call('HMGET', S(id), 'seq', 'acked', 'era')
    if not kept[1] or kept[3] ~= era or isExpired(id) then return false end
    return { kept[1], kept[2] }`,

  confirm: `
    if owns(id, epoch) then call('HSET', S(id), 'tokens', string.match(call('HGET', S(id), 'tokens'), '%S+$')) end
    return 1`,

  reserve: `
    local message, owner = unpack(ARGV, 11, 12)
    if not isTrusted() then return 'wait' end
    if call('ZSCORE', I(owner), message) then return 'processed' end
    local holder, node = string.match(call('GET', H(owner, message)) or '', '^(%S+) (%S+)$')
    if holder and holder ~= id and alive(node) then return 'busy' end
    call('SET', H(owner, message), id .. ' ' .. me, 'PX', ttl)
    return 'reserved'`,

  release: `
    local message, owner = unpack(ARGV, 11, 12)
    if call('GET', H(owner, message)) == id .. ' ' .. me then call('DEL', H(owner, message)) end
    return 1`,

  commit: COMMIT as string,
  fan: FAN as string,

  read: `
    local after, limit = tonumber(ARGV[11]), tonumber(ARGV[12])
    if not isTrusted() then return 'wait' end
    if not owns(id, epoch) then return false end
    local kept = call('HMGET', S(id), 'seq', 'acked')
    local seq = tonumber(kept[1])
    if after > seq then
      forget(id, '1008 ${OUTDATED}')
      return false
    end
    after = math.max(after, tonumber(kept[2]))
    local last = math.min(seq, after + limit)
    if last <= after then return {} end
    local found, frames = {}, {}
    for i, entry in ipairs(call('HMGET', S(id), unpack(names(after + 1, last)))) do
      local body = entry and string.match(entry, '^@(%d+:%d+):')
      local frame
      if body then
        local bucket, n = string.match(body, '(%d+):(%d+)')
        frames[body] = frames[body] or call('HGET', M(bucket), n)
        frame = frames[body]
      else
        frame = entry and string.sub(entry, string.find(entry, ':', 1, true) + 1)
      end
      if not frame then
        forget(id, '1008 ${INCOMPLETE}')
        return false
      end
      found[2 * i - 1], found[2 * i] = whole(after + i), frame
    end
    return found`,

  // Several sessions, as id, epoch and number. Returns for each whether there is more to do, as far as it came.
  acknowledge: `
    local left = {}
    for i = 11, #ARGV, 3 do
      if work >= ${BUDGET} then break end
      local id, epoch, wanted = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
      local kept = call('HMGET', S(id), 'epoch', 'era', 'seq', 'acked', 'bytes', 'm' .. text[wanted])
      local more = 0
      if kept[1] == epoch and kept[2] == era then
        local acked = tonumber(kept[4])
        wanted = math.min(wanted, tonumber(kept[3]))
        local last = math.min(wanted, acked + 1000)
        if last > acked then
          local list, size = names(acked + 1, last), 0
          -- Mostly it is one message.
          local entries = wanted == acked + 1 and { kept[6] } or call('HMGET', S(id), unpack(list))
          for _, entry in ipairs(entries) do
            if entry then size = size + release(entry) end
          end
          -- First, because a Redis without memory allows it, and then everything that follows.
          call('HDEL', S(id), unpack(list))
          call('HSET', S(id), 'acked', text[last], 'bytes', text[kept[5] - size])
          work = work + last - acked
          more = wanted > last and 1 or 0
        end
      end
      work = work + 5
      left[#left + 1] = more
    end
    settle()
    return left`,

  // Several sessions, as id and epoch. Returns the newest number of each, as far as it came.
  touch: `
    local newest = {}
    isTrusted()
    call('ZADD', N, whole(now), me)
    call('ZREMRANGEBYSCORE', N, '-inf', now - ttl)
    call('PEXPIRE', N, ttl)
    call('PEXPIRE', O(me), ttl)
    for i = 11, #ARGV, 2 do
      if work >= ${BUDGET} then break end
      local id, epoch = ARGV[i], ARGV[i + 1]
      work = work + 5
      if owns(id, epoch) and renew(id, now + lease) then
        newest[#newest + 1] = tonumber(call('HGET', S(id), 'seq'))
      else
        newest[#newest + 1] = -1
      end
    end
    renewFrames()
    return newest`,

  sweep: `return sweep('')`,

  detach: `
    if owns(id, epoch) then
      call('HSET', S(id), 'away', 1)
      renew(id, now + ARGV[11])
      renewFrames()
    end
    return 1`,

  end: `
    if call('EXISTS', S(id)) == 0 then return 0 end
    forget(id, ARGV[11])
    return 1`,
}
