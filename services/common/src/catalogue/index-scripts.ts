/**
 * The Lua scripts behind RedisFileIndex (docs/format/redis.md). All may be executed late and again:
 * files of commits are facts, ends only ascend, and a generation that is over takes nothing more.
 */
import { redisScript } from '../metadata/redis-connection.ts'

/** KEYS: index. ARGV: store, a generation to make where there is none or the store is another. */
export const OPEN_SCRIPT = redisScript(`
local got = redis.call('HMGET', KEYS[1], 'generation', 'store')
if got[1] and got[2] == ARGV[1] then return got[1] end
if got[1] then redis.call('SADD', KEYS[2], got[1]) end
local building = redis.call('HGET', KEYS[1], 'building')
if building then redis.call('SADD', KEYS[2], building) end
redis.call('HDEL', KEYS[1], 'building')
redis.call('HSET', KEYS[1], 'generation', ARGV[2], 'store', ARGV[1])
return ARGV[2]
`)

/**
 * KEYS: index, ends, hours, then the hash of each hour. ARGV: generation, partition, start, end,
 * start of the last commit, whether the end moves, then for each file: number of its hash, hour
 * member, name, value.
 * Offsets have up to 19 digits, more than a Lua number keeps: they are compared as texts.
 */
export const APPLY_SCRIPT = redisScript(`
local got = redis.call('HMGET', KEYS[1], 'generation', 'building')
if ARGV[1] ~= got[1] and ARGV[1] ~= got[2] then return { 'replaced', '0' } end
local function is_less(a, b)
  if #a ~= #b then return #a < #b end
  return a < b
end
local listed = {}
for at = 7, #ARGV, 4 do
  local member = ARGV[at + 1]
  redis.call('HSET', KEYS[3 + tonumber(ARGV[at])], ARGV[at + 2], ARGV[at + 3])
  if not listed[member] then
    redis.call('ZADD', KEYS[3], 0, member)
    listed[member] = true
  end
end
if ARGV[6] ~= '1' then return { 'applied', '0' } end
local stored = string.match(redis.call('HGET', KEYS[2], ARGV[2]) or '', '^(%d+) %d+$') or '0'
if is_less(stored, ARGV[3]) then return { 'behind', stored } end
if not is_less(stored, ARGV[4]) then return { 'known', stored } end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[4] .. ' ' .. ARGV[5])
return { 'applied', ARGV[4] }
`)

/** KEYS: index, retired. ARGV: the generation that is wrong, the new one. */
export const RESET_SCRIPT = redisScript(`
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return 0 end
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], 'generation', ARGV[2])
return 1
`)

/** KEYS: index, retired. ARGV: the generation to build. */
export const BUILD_SCRIPT = redisScript(`
local building = redis.call('HGET', KEYS[1], 'building')
if building == ARGV[1] then return 1 end
if building then redis.call('SADD', KEYS[2], building) end
redis.call('HSET', KEYS[1], 'building', ARGV[1])
return 1
`)

/** KEYS: index, retired. ARGV: the generation that was built, store. */
export const PUBLISH_SCRIPT = redisScript(`
local got = redis.call('HMGET', KEYS[1], 'generation', 'building')
if got[1] == ARGV[1] then return 1 end
if got[2] ~= ARGV[1] then return 0 end
if got[1] then redis.call('SADD', KEYS[2], got[1]) end
redis.call('HDEL', KEYS[1], 'building')
redis.call('HSET', KEYS[1], 'generation', ARGV[1], 'store', ARGV[2])
return 1
`)
