-- Begins a generation, so that nothing kept before counts any more, and tells every node. With a server's run id: only when the server is
-- another than the one seen last, since it may hold what it was told to forget (a snapshot loaded, a replica promoted).
-- KEYS: generation, run id. ARGV: channel, message, run id or nothing.
if ARGV[3] ~= '' then
  if redis.call('GET', KEYS[2]) == ARGV[3] then return 0 end
  redis.call('SET', KEYS[2], ARGV[3])
end
local now = redis.call('TIME')
local generation = now[1] .. '.' .. now[2]
if redis.call('GET', KEYS[1]) == generation then generation = generation .. '.1' end
redis.call('SET', KEYS[1], generation)
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
