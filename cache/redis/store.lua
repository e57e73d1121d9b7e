-- Ends a lease: keeps a value, or nothing, only where the lease still is the one given and the generation the same. An invalidation
-- meanwhile has deleted the lease, so what was loaded before it is never kept.
-- KEYS: entry, generation. ARGV: token, generation, milliseconds to keep it (0: nothing is kept), value.
if redis.call('GET', KEYS[2]) ~= ARGV[2] or redis.pcall('GET', KEYS[1]) ~= 'L' .. ARGV[2] .. ' ' .. ARGV[1] then return 0 end
if ARGV[3] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], 'V' .. ARGV[2] .. ' ' .. ARGV[4], 'PX', ARGV[3])
end
return 1
