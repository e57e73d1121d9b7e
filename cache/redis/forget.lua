-- Deletes entries and leases, then tells every node, in this order: who hears of it finds nothing old here.
-- KEYS: entries, an empty one where nothing is kept. ARGV: channel, then the message for each entry.
for i, key in ipairs(KEYS) do
  if key ~= '' then redis.call('DEL', key) end
  redis.call('PUBLISH', ARGV[1], ARGV[1 + i])
end
return #KEYS
