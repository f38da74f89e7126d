/**
 * The Lua scripts behind RedisClusterMetadata. Each is one atomic step on three hashes (docs/format/
 * redis.md) and may be executed any number of times, late or after a newer one: then it changes
 * nothing. `memory-cluster-state.ts` does the same in memory, a property test compares the two.
 *
 * The store's time is an age that goes on with the calls: a pause longer than half a time to live, or a
 * clock that jumps, counts as that half only, and everybody is given time to beat once more. An
 * incarnation is made where there is none, and where the caller knows of answered writes that are gone.
 */
import { redisScript } from './redis-connection.ts'

/**
 * KEYS: cluster, lives, members, leases. The first ARGV are the CallStamp; the clock is '' in production.
 * What members say of themselves passes through no script: 4 KiB of 100 members cost 20 times the rest.
 */
const PRELUDE = `
local CLUSTER, LIVES, MEMBERS, LEASES = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local CALLER, SENDER, SEQUENCE, ANSWERED = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local SEEN, SEEN_REVISION, FRESH, CLOCK = ARGV[5], tonumber(ARGV[6]), ARGV[7], ARGV[8]

-- numbers above 2^31 would be written as 1e+12 otherwise
local function digits(number) return string.format('%.0f', number) end

local function now_ms()
  if CLOCK ~= '' then return tonumber(CLOCK) end
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function generation(name) return tonumber(string.match(name, '^(%d+)%.')) or 0 end

local function read_state()
  local got = redis.call('HMGET', CLUSTER, 'incarnation', 'age', 'touched', 'step', 'revision')
  return {
    incarnation = got[1] or '', age = tonumber(got[2]) or 0, touched = tonumber(got[3]) or 0,
    step = tonumber(got[4]) or 0, revision = tonumber(got[5]) or 0,
  }
end

local function write_state(state)
  redis.call('HSET', CLUSTER, 'incarnation', state.incarnation, 'age', digits(state.age),
    'touched', digits(state.touched), 'step', digits(state.step), 'revision', digits(state.revision))
end

-- 'deadline ttl extended left sender sequence'
local function read_life(value)
  local deadline, ttl, extended, left, sender, sequence =
    string.match(value, '^(%d+) (%d+) ([01]) ([01]) (%S+) (%d+)$')
  if deadline == nil then return nil end
  return {
    deadline = tonumber(deadline), ttl = tonumber(ttl), extended = extended == '1',
    left = left == '1', sender = sender, sequence = tonumber(sequence),
  }
end

local function read_lives()
  local flat = redis.call('HGETALL', LIVES)
  local lives = {}
  for i = 1, #flat, 2 do lives[flat[i]] = read_life(flat[i + 1]) end
  return lives
end

local function write_life(id, life)
  redis.call('HSET', LIVES, id, digits(life.deadline) .. ' ' .. digits(life.ttl) .. ' '
    .. (life.extended and '1' or '0') .. ' ' .. (life.left and '1' or '0') .. ' '
    .. life.sender .. ' ' .. digits(life.sequence))
end

local function is_alive(lives, id) return lives[id] ~= nil and not lives[id].left end

-- 'epoch owner request', the owner empty where nobody holds it
local function read_lease(value)
  local epoch, owner, request = string.match(value or '', '^(%d+) (%S*) (%S*)$')
  return { epoch = tonumber(epoch) or 0, owner = owner or '', request = request or '' }
end

local function write_lease(partition, lease)
  redis.call('HSET', LEASES, partition,
    digits(lease.epoch) .. ' ' .. lease.owner .. ' ' .. lease.request)
end

local function is_rewound(state, lives)
  if SEEN == '' then return false end
  if SEEN ~= state.incarnation then return generation(state.incarnation) <= generation(SEEN) end
  local own = lives[CALLER]
  local own_lost = own ~= nil and own.sender == SENDER and own.sequence < ANSWERED
  return own_lost or state.revision < SEEN_REVISION
end

local function renew(state, lives, now)
  local last = math.max(generation(state.incarnation), generation(SEEN))
  state.incarnation = digits(last + 1) .. '.' .. FRESH
  state.age, state.touched, state.revision = 0, now, 1
  for id, life in pairs(lives) do
    life.deadline, life.extended = life.ttl, true
    write_life(id, life)
  end
end

local function take_out_dead(state, lives)
  for id, life in pairs(lives) do
    if life.deadline <= state.age then
      lives[id] = nil
      redis.call('HDEL', LIVES, id)
      redis.call('HDEL', MEMBERS, id)
    end
  end
end

-- What every call that writes begins with: time goes on, the dead are taken out.
local function touch()
  local state, now = read_state(), now_ms()
  local lives = read_lives()
  if state.incarnation == '' or is_rewound(state, lives) then
    renew(state, lives, now)
    return state, lives
  end
  local since = now - state.touched
  take_out_dead(state, lives)
  state.age = state.age + math.min(math.max(since, 0), state.step)
  if since < 0 or since > state.step then
    for id, life in pairs(lives) do
      if not life.extended then
        life.deadline, life.extended = math.max(life.deadline, state.age + life.ttl), true
        write_life(id, life)
      end
    end
  end
  take_out_dead(state, lives)
  state.touched, state.revision = now, state.revision + 1
  return state, lives
end

local function is_overtaken(lives)
  local own = lives[CALLER]
  return own ~= nil and own.sender == SENDER and own.sequence >= SEQUENCE
end

local function keep_sequence(lives)
  local own = lives[CALLER]
  if own == nil then return end
  own.sender, own.sequence = SENDER, SEQUENCE
  write_life(CALLER, own)
end

local function view_at(state, lives, age)
  local living = {}
  for id, life in pairs(lives) do
    if life.deadline > age and not life.left then living[#living + 1] = id end
  end
  return { state.incarnation, digits(state.revision), digits(age), living }
end
`

/** ARGV beyond the stamp: time to live, most members, JSON of the member. */
export const BEAT_SCRIPT = redisScript(`${PRELUDE}
local ttl, members_max, json = tonumber(ARGV[9]), tonumber(ARGV[10]), ARGV[11]
local state, lives = touch()
state.step = math.floor(ttl / 2)
write_state(state)
if not is_overtaken(lives) then
  if lives[CALLER] == nil and redis.call('HLEN', LIVES) >= members_max then
    return { state.incarnation, digits(state.revision), 'full' }
  end
  lives[CALLER] = {
    deadline = state.age + ttl, ttl = ttl, extended = false, left = false,
    sender = SENDER, sequence = SEQUENCE,
  }
  write_life(CALLER, lives[CALLER])
  redis.call('HSET', MEMBERS, CALLER, json)
end
return view_at(state, lives, state.age)
`)

/** Writes nothing. */
export const VIEW_SCRIPT = redisScript(`${PRELUDE}
local state = read_state()
local step = math.min(math.max(now_ms() - state.touched, 0), state.step)
return view_at(state, read_lives(), state.age + step)
`)

/** ARGV beyond the stamp: partition, floor, request id. Answers kind, epoch, owner. */
export const ACQUIRE_SCRIPT = redisScript(`${PRELUDE}
local partition, floor, request = ARGV[9], tonumber(ARGV[10]), ARGV[11]
local state, lives = touch()
write_state(state)
local function answer(kind, epoch, owner)
  return { state.incarnation, digits(state.revision), kind, digits(epoch), owner }
end
if is_overtaken(lives) then return answer('overtaken', 0, '') end
local lease = read_lease(redis.call('HGET', LEASES, partition))
local owner_alive = is_alive(lives, lease.owner)
local function held() return answer('held', lease.epoch, owner_alive and lease.owner or '') end
if not is_alive(lives, CALLER) then return held() end
keep_sequence(lives)
if lease.request == request then
  if lease.owner == CALLER then return answer('acquired', lease.epoch, CALLER) end
  return held()
end
if lease.owner ~= CALLER and owner_alive and floor <= lease.epoch then return held() end
lease.epoch = math.max(lease.epoch, floor) + 1
lease.owner, lease.request = CALLER, request
write_lease(partition, lease)
return answer('acquired', lease.epoch, CALLER)
`)

/** ARGV beyond the stamp: partition, epoch. */
export const RELEASE_SCRIPT = redisScript(`${PRELUDE}
local partition, epoch = ARGV[9], tonumber(ARGV[10])
local state, lives = touch()
write_state(state)
local overtaken = is_overtaken(lives)
if not overtaken then
  keep_sequence(lives)
  local lease = read_lease(redis.call('HGET', LEASES, partition))
  if lease.owner == CALLER and lease.epoch == epoch then
    lease.owner = ''
    write_lease(partition, lease)
  end
end
return { state.incarnation, digits(state.revision), overtaken and 'overtaken' or 'done' }
`)

/** ARGV beyond the stamp: how long to remember that it left. */
export const LEAVE_SCRIPT = redisScript(`${PRELUDE}
local kept = tonumber(ARGV[9])
local state, lives = touch()
write_state(state)
local overtaken = is_overtaken(lives)
if not overtaken then
  local flat = redis.call('HGETALL', LEASES)
  for i = 1, #flat, 2 do
    local lease = read_lease(flat[i + 1])
    if lease.owner == CALLER then
      lease.owner = ''
      write_lease(flat[i], lease)
    end
  end
  local own = lives[CALLER]
  if own ~= nil then
    own.deadline, own.ttl, own.left = state.age + kept, kept, true
    redis.call('HDEL', MEMBERS, CALLER)
    own.sender, own.sequence = SENDER, SEQUENCE
    write_life(CALLER, own)
  end
end
return { state.incarnation, digits(state.revision), overtaken and 'overtaken' or 'done' }
`)
