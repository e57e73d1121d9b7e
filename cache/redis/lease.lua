-- Gives the value under KEYS[1], or the lease to load it. KEYS[2] holds the generation: what is of another one counts for nothing.
-- ARGV: token, milliseconds that the lease lasts. Answers {"V", value}, {"L"} when somebody else loads, {"M", generation} with the lease.
local generation = redis.call('GET', KEYS[2])
if not generation then
  local now = redis.call('TIME')
  generation = now[1] .. '.' .. now[2]
  redis.call('SET', KEYS[2], generation)
end
local head = generation .. ' '
local kept = redis.pcall('GET', KEYS[1]) -- an error when others keep something else there, which counts for nothing too
if type(kept) == 'string' and string.sub(kept, 2, 1 + #head) == head then
  local kind = string.sub(kept, 1, 1)
  if kind == 'V' then return {'V', string.sub(kept, 2 + #head)} end
  if kind == 'L' then return {'L'} end
end
redis.call('SET', KEYS[1], 'L' .. head .. ARGV[1], 'PX', ARGV[2])
return {'M', generation}
