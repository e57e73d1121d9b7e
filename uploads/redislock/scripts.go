package redislock

import "github.com/redis/go-redis/v9"

// The value of a lease is the node's name and a token: 26 characters each, of rand.Text. A lease's key and the key of those who wait for
// it share a hash tag, as scripts of a cluster need.

// scripts are what must happen in one step on the server.
type scripts struct{ take, renew, free, ask *redis.Script }

func newScripts() scripts {
	return scripts{
		// KEYS lease; ARGV value, life in ms, values whose fate is not known. 1: it is ours. What an answer that was lost has left of this
		// node's own is overwritten; by its value, since a question that comes late must not overwrite what was lent after it.
		take: redis.NewScript(`
local value = redis.call('GET', KEYS[1])
local orphan = not value
for i = 3, #ARGV do orphan = orphan or value == ARGV[i] end
if not orphan then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`),
		// KEYS lease; ARGV value, life in ms. 1: it goes on.
		renew: redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`),
		// KEYS lease, waiters; ARGV value, prefix of channels, message. 1: it was ours until now.
		free: redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
local waiting = redis.call('SMEMBERS', KEYS[2])
for _, node in ipairs(waiting) do redis.call('PUBLISH', ARGV[2] .. node, ARGV[3]) end
if #waiting > 0 then redis.call('DEL', KEYS[2]) end
return 1`),
		// KEYS lease, waiters; ARGV node that asks, life of its wait in ms, prefix of channels, message. 0: nobody has it.
		ask: redis.NewScript(`
local value = redis.call('GET', KEYS[1])
if not value then return 0 end
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
redis.call('PUBLISH', ARGV[3] .. string.sub(value, 1, 26), ARGV[4])
return 1`),
	}
}
