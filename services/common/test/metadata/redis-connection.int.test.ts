import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

import type { RedisAddress } from '@tributary/common/metadata/redis-address'
import type { RedisConnectionOptions } from '@tributary/common/metadata/redis-connection'
import type { RedisServerOptions } from '@tributary/common/testing/redis-server'
import { AppError } from '@tributary/common/errors'
import { createLogger } from '@tributary/common/logger'
import { plainRedisAddress } from '@tributary/common/metadata/redis-address'
import { RedisConnection, redisScript } from '@tributary/common/metadata/redis-connection'
import { freePort } from '@tributary/common/testing/free-port'
import { RedisSentinels } from '@tributary/common/testing/redis-sentinels'
import { RedisServer } from '@tributary/common/testing/redis-server'

const logger = createLogger({ name: 'test', level: 'silent' })
const ECHO = redisScript('return { KEYS[1], ARGV[1] }')

async function startServer(options: RedisServerOptions = {}): Promise<RedisServer> {
  const server = await RedisServer.start(options)
  after(() => server.stop())
  return server
}

function open(
  server: { readonly host: string; readonly port: number },
  address: Partial<RedisAddress> = {},
  options: Partial<RedisConnectionOptions> = {},
): RedisConnection {
  const connection = new RedisConnection({
    address: { ...plainRedisAddress(server.host, server.port), ...address },
    name: 'test',
    timeoutMs: 2000,
    logger,
    ...options,
  })
  after(() => {
    connection.close()
  })
  return connection
}

/** Passes where the promise fails with the reason. */
async function failsWith(reason: string, promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof AppError)
    assert.equal(error.code, 'metadata_unavailable')
    assert.equal(error.details['reason'], reason)
    return true
  })
}

/** Tries until it works: for what comes back by itself. */
async function eventually<T>(attempt: () => Promise<T>): Promise<T> {
  for (const deadline = Date.now() + 20_000; ;) {
    try {
      return await attempt()
    } catch (error) {
      if (Date.now() > deadline) throw error
      await sleep(20)
    }
  }
}

describe('RedisConnection', () => {
  it('runs commands and scripts, alone and many at once', async () => {
    const connection = open(await startServer())
    await connection.untilReady(5000)
    assert.equal(await connection.command('SET', '{t}:a', 'é'), 'OK')
    assert.equal(await connection.command('GET', '{t}:a'), 'é')
    assert.deepEqual(await connection.run(ECHO, ['{t}:a'], [7]), ['{t}:a', '7'])
    const runs = ['x', 'y', 'z'].map((word) => ({ keys: ['{t}:a'], args: [word] }))
    assert.deepEqual(await connection.runAll(ECHO, runs), [
      ['{t}:a', 'x'],
      ['{t}:a', 'y'],
      ['{t}:a', 'z'],
    ])
  })

  it('sends a script again to a server that forgot it', async () => {
    const server = await startServer()
    const connection = open(server)
    await connection.untilReady(5000)
    await connection.run(ECHO, ['{t}:a'], [1])
    await server.admin.script('FLUSH')
    assert.deepEqual(await connection.run(ECHO, ['{t}:a'], [1]), ['{t}:a', '1'])
    await server.admin.script('FLUSH')
    assert.deepEqual(await connection.runAll(ECHO, [{ keys: ['{t}:a'], args: [1] }]), [
      ['{t}:a', '1'],
    ])
  })

  it('has its first commands wait for the first try to connect, and for no other', async () => {
    const server = await startServer()
    const connection = open(server)
    assert.equal(connection.isReady, false)
    assert.equal(await connection.command('PING'), 'PONG')
    const nobody = open({ host: '127.0.0.1', port: await freePort() })
    await failsWith('not_connected', nobody.command('PING'))
    const silent = createServer(() => undefined).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    after(() => silent.close())
    const { port } = silent.address() as AddressInfo
    const waiting = open({ host: '127.0.0.1', port }, {}, { timeoutMs: 300 })
    const beganMs = performance.now()
    await failsWith('not_connected', waiting.command('PING'))
    assert.ok(performance.now() - beganMs >= 250, 'as long as a command may take')
  })

  it('fails at once while the server is away, and comes back by itself', async () => {
    const server = await startServer()
    const connection = open(server)
    await connection.untilReady(5000)
    await server.kill()
    await eventually(() => failsWith('not_connected', connection.command('PING')))
    await eventually(() => failsWith('not_connected', connection.untilReady(30)))
    await server.restart()
    assert.equal(await eventually(() => connection.command('PING')), 'PONG')
  })

  it('gives up on a server that stands still, and what it sent may be executed later', async () => {
    const server = await startServer()
    const connection = open(server, {}, { timeoutMs: 100 })
    await connection.untilReady(5000)
    server.pause()
    await failsWith('timeout', connection.command('INCR', '{t}:count'))
    await eventually(() => failsWith('not_connected', connection.command('INCR', '{t}:count')))
    server.resume()
    await eventually(() => connection.command('PING'))
    assert.ok(Number(await connection.command('GET', '{t}:count')) >= 1)
  })

  it('refuses more commands than its bound while none is answered', async () => {
    const server = await startServer()
    const connection = open(server)
    await connection.untilReady(5000)
    server.pause()
    const sent = Array.from({ length: 1000 }, () => connection.command('PING'))
    await failsWith('overloaded', connection.command('PING'))
    server.resume()
    await Promise.all(sent)
    assert.equal(await connection.command('PING'), 'PONG')
  })

  it('names what Redis refuses: memory, a script that runs, rights', async () => {
    const user = { name: 'app', password: 'secret', rules: '+@all -flushall ~{t}*' }
    const server = await startServer({ user, configuration: ['busy-reply-threshold 10'] })
    const connection = open(server, { username: 'app', password: 'secret' })
    await connection.untilReady(5000)
    await failsWith('no_access', connection.command('FLUSHALL'))
    await failsWith('no_access', connection.command('SET', 'other', '1'))

    await server.admin.config('SET', 'maxmemory', '1')
    const write = redisScript("return redis.call('SET', KEYS[1], '1')")
    await failsWith('out_of_memory', connection.command('SET', '{t}:a', '1'))
    await failsWith('out_of_memory', connection.run(write, ['{t}:a']))
    await server.admin.config('SET', 'maxmemory', '0')

    const endless = server.admin.eval('while true do end', 0)
    endless.catch(() => undefined)
    await eventually(() => failsWith('busy', connection.run(write, ['{t}:a'])))
    await connection.command('SCRIPT', 'KILL')
    assert.equal(await eventually(() => connection.run(write, ['{t}:a'])), 'OK')
  })

  it('does not use a server before it has loaded its data', async () => {
    const server = await startServer({ configuration: ['appendonly no', 'key-load-delay 1000'] })
    const connection = open(server)
    await connection.untilReady(5000)
    for (let count = 0; count < 500; count++) await server.admin.set(`{t}:${count}`, 'x')
    await server.admin.save()
    await server.kill()
    const restarted = server.restart()
    await eventually(async () => {
      assert.equal(await connection.command('DBSIZE'), 500)
    })
    await restarted
  })

  it('leaves a master that became a replica for the one that is there then', async () => {
    const [first, second] = [await startServer(), await startServer()]
    const connection = open(first)
    await connection.untilReady(5000)
    await first.admin.replicaof(second.host, second.port)
    await failsWith('read_only', connection.command('SET', '{t}:a', '1'))
    await first.admin.replicaof('NO', 'ONE')
    assert.equal(await eventually(() => connection.command('SET', '{t}:a', '1')), 'OK')
  })

  it('tries less and less often, each time after a pause of its own', async () => {
    const acceptedAtMs: number[] = []
    const server = createServer((socket) => {
      acceptedAtMs.push(performance.now())
      socket.destroy()
    })
    server.listen(await freePort(), '127.0.0.1')
    await once(server, 'listening')
    after(() => server.close())
    const { port } = server.address() as { port: number }
    open({ host: '127.0.0.1', port }, {}, { random: () => 0.5 })
    await eventually(() => Promise.resolve(assert.ok(acceptedAtMs.length >= 5)))
    const pauses = acceptedAtMs.slice(1).map((atMs, index) => atMs - acceptedAtMs[index]!)
    for (const [index, leastMs] of [109, 209, 409, 809].entries()) {
      assert.ok(pauses[index]! >= leastMs, `pause ${index} is ${pauses[index]} ms`)
    }
  })

  it('ends without leaving anything behind', async () => {
    const server = await startServer()
    const connection = open(server)
    await connection.untilReady(5000)
    const pending = Promise.allSettled([connection.command('DEBUG', 'SLEEP', '0.2')])
    connection.close()
    connection.close()
    await pending
    await failsWith('closed', connection.command('PING'))
  })
})

describe('RedisConnection with secrets', () => {
  it('speaks TLS, trusts only whom it is told to trust, and shows its own certificate', async () => {
    const server = await startServer({ hasTls: true, configuration: ['tls-auth-clients yes'] })
    const { caFile, clientCertFile: certFile, clientKeyFile: keyFile } = server
    const connection = open(server, { tls: { caFile, certFile, keyFile } })
    await connection.untilReady(5000)
    assert.equal(await connection.command('PING'), 'PONG')

    const stranger = open(server, { tls: { caFile: undefined, certFile, keyFile } })
    await failsWith('not_connected', stranger.untilReady(300))
    const nameless = open(server, { tls: { caFile, certFile: undefined, keyFile: undefined } })
    await failsWith('not_connected', nameless.untilReady(300))
  })

  it('checks the name that it connects to', async () => {
    const server = await startServer({ hasTls: true })
    const { caFile } = server
    const tls = { caFile, certFile: undefined, keyFile: undefined }
    const known = open({ host: 'localhost', port: server.port }, { tls })
    await known.untilReady(5000)
    // the same loopback, which the certificate does not name
    const unknown = open({ host: '127.0.0.2', port: server.port }, { tls })
    await failsWith('not_connected', unknown.untilReady(300))
  })

  it('reads a changed password before it connects again', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tributary-password-'))
    after(() => rm(folder, { recursive: true }))
    const passwordFile = join(folder, 'password')
    await writeFile(passwordFile, 'first\n')
    const user = { name: 'app', password: 'first', rules: '+@all ~*' }
    const server = await startServer({ user })
    const connection = open(server, { username: 'app', passwordFile })
    await connection.untilReady(5000)
    await server.admin.acl('SETUSER', 'app', 'resetpass', '>second')
    await server.admin.client('KILL', 'USER', 'app')
    await eventually(() => failsWith('not_connected', connection.command('PING')))
    await writeFile(passwordFile, 'second\n')
    assert.equal(await eventually(() => connection.command('PING')), 'PONG')
  })

  it('refuses files that cannot be read', () => {
    assert.throws(
      () => open({ host: '127.0.0.1', port: 1 }, { passwordFile: '/nonexistent/password' }),
      (error: unknown) => error instanceof AppError && error.code === 'invalid_config',
    )
  })
})

describe('RedisConnection to more than one server', () => {
  it('follows the master that the sentinels name', async () => {
    const set = await RedisSentinels.start()
    after(() => set.stop())
    const sentinels = set.addresses.map((address) => {
      const [host, port] = address.split(':')
      return { host: host!, port: Number(port) }
    })
    const connection = open({ host: '', port: 0 }, { sentinels, sentinelMaster: set.masterName })
    await connection.untilReady(5000)
    await connection.command('SET', '{t}:a', '1')
    await set.untilReplicated()
    const old = await set.master()
    // it stands still: nothing closes its connections
    old.pause()
    await set.untilMasterIsNot(old)
    assert.equal(await eventually(() => connection.command('SET', '{t}:a', '2')), 'OK')
  })

  it('goes to the node of a Redis Cluster that has its keys', async () => {
    const configuration = ['cluster-enabled yes', 'cluster-node-timeout 2000']
    const [first, second] = [
      await startServer({ configuration }),
      await startServer({ configuration }),
    ]
    await first.admin.call('CLUSTER', 'ADDSLOTSRANGE', '0', '8191')
    await second.admin.call('CLUSTER', 'ADDSLOTSRANGE', '8192', '16383')
    await first.admin.call('CLUSTER', 'MEET', second.host, String(second.port))
    for (const { admin } of [first, second]) {
      await eventually(async () => {
        assert.match(String(await admin.call('CLUSTER', 'INFO')), /cluster_state:ok/)
      })
    }
    const write = redisScript("return redis.call('SET', KEYS[1], ARGV[1])")
    // of a and b one hash tag belongs to each half
    const slots = await Promise.all(
      ['{a}:x', '{b}:x'].map((key) => first.admin.call('CLUSTER', 'KEYSLOT', key)),
    )
    assert.notEqual(Number(slots[0]) < 8192, Number(slots[1]) < 8192)
    const connection = open(first)
    await connection.untilReady(5000)
    for (const key of ['{a}:x', '{b}:x']) {
      assert.equal(await eventually(() => connection.run(write, [key], ['1'])), 'OK')
      assert.equal(await connection.run(write, [key], ['2']), 'OK')
    }
  })
})
