-- Deletes entries and leases, then tells every node, in this order: who hears of it finds nothing old here.
-- KEYS: entries. ARGV: channel, then the message for each entry.
for i, key in ipairs(KEYS) do
  redis.call('DEL', key)
  redis.call('PUBLISH', ARGV[1], ARGV[1 + i])
end
return #KEYS
