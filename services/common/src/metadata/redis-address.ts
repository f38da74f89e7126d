/** Where Redis is and how to get in: what settings say, as options of the client. */
import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'

import type { RedisConnectionConfig } from '../config/redis-settings.ts'
import { AppError } from '../errors.ts'

export interface RedisAddress {
  readonly host: string
  readonly port: number
  readonly database: number
  readonly username: string | undefined
  /** Given in the URL; a file is the better place. */
  readonly password: string | undefined
  readonly passwordFile: string | undefined
  /** Undefined: plain TCP. */
  readonly tls: RedisTlsFiles | undefined
  /** Not empty: they are asked where the master is, host and port above are not used. */
  readonly sentinels: readonly HostPort[]
  readonly sentinelMaster: string
  readonly sentinelPasswordFile: string | undefined
}

export interface RedisTlsFiles {
  readonly caFile: string | undefined
  readonly certFile: string | undefined
  readonly keyFile: string | undefined
}

export interface HostPort {
  readonly host: string
  readonly port: number
}

/** Where to connect, as the settings say. */
export function redisAddress(config: RedisConnectionConfig): RedisAddress {
  const { protocol, hostname, port, username, password, pathname } = new URL(config.redisUrl)
  const isTls = protocol === 'rediss:'
  return {
    host: hostname === '' ? '127.0.0.1' : withoutBrackets(hostname),
    port: port === '' ? 6379 : Number(port),
    database: Number(pathname.slice(1)),
    username: username === '' ? undefined : decodeURIComponent(username),
    password: password === '' ? undefined : decodeURIComponent(password),
    passwordFile: config.redisPasswordFile,
    tls: isTls
      ? { caFile: config.redisCaFile, certFile: config.redisCertFile, keyFile: config.redisKeyFile }
      : undefined,
    sentinels: (config.redisSentinels?.split(',') ?? []).map((address) => {
      const colon = address.lastIndexOf(':')
      return {
        host: withoutBrackets(address.slice(0, colon)),
        port: Number(address.slice(colon + 1)),
      }
    }),
    sentinelMaster: config.redisSentinelMaster,
    sentinelPasswordFile: config.redisSentinelPasswordFile,
  }
}

/** `[::1]` is how an address and a port are written together. */
function withoutBrackets(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1')
}

/** A plain address without password, TLS or sentinels. */
export function plainRedisAddress(host: string, port: number): RedisAddress {
  return {
    host,
    port,
    database: 0,
    username: undefined,
    password: undefined,
    passwordFile: undefined,
    tls: undefined,
    sentinels: [],
    sentinelMaster: '',
    sentinelPasswordFile: undefined,
  }
}

/** What stands in the files of an address at this moment. */
export interface RedisSecrets {
  readonly password: string | undefined
  readonly sentinelPassword: string | undefined
  readonly tls: ConnectionOptions | undefined
}

/** @throws AppError invalid_config for a file that cannot be read */
export function readRedisSecrets(address: RedisAddress): RedisSecrets {
  const { tls } = address
  return {
    password: readPassword(address.passwordFile) ?? address.password,
    sentinelPassword: readPassword(address.sentinelPasswordFile),
    tls: tls === undefined ? undefined : readTls(tls, address),
  }
}

function readTls(files: RedisTlsFiles, address: RedisAddress): ConnectionOptions {
  const ca = readFile(files.caFile)
  const cert = readFile(files.certFile)
  const key = readFile(files.keyFile)
  // the name to check; with sentinels it is the address that they give
  const isName = address.sentinels.length === 0 && !/^[\d.:a-f]+$/i.test(address.host)
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(isName ? { servername: address.host } : {}),
  }
}

/** Files written by editors and by Kubernetes end with a line break or not. */
function readPassword(file: string | undefined): string | undefined {
  return readFile(file)?.replace(/\r?\n$/, '')
}

function readFile(file: string | undefined): string | undefined {
  if (file === undefined) return undefined
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new AppError('invalid_config', 'file cannot be read', { cause: error, details: { file } })
  }
}
