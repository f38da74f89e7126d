/** Sockets to brokers: TCP or TLS, without Nagle's delay, alive-checked. */
import { readFile } from 'node:fs/promises'
import { connect as connectTcp, isIP } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { ConnectionOptions as TlsOptions } from 'node:tls'

import type { SASLOptions } from 'kafkajs'

import { AppError } from '../errors.ts'
import { KafkaError } from './kafka-error.ts'

export interface BrokerAddress {
  readonly host: string
  readonly port: number
}

/** Paths of PEM files. */
export interface TlsFiles {
  /** Authorities to trust; default: those that Node trusts. */
  readonly caFile?: string | undefined
  /** Certificate chain and key of this client, where brokers ask for one. */
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
}

export interface SaslUser {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
  readonly username: string
  readonly passwordFile: string
}

/**
 * How brokers are reached, and as whom. Files are read for every connection: a renewed certificate or
 * password needs no restart.
 */
export interface KafkaAccess {
  readonly clientId: string
  /** For TCP, TLS and SASL together. */
  readonly connectTimeoutMs: number
  readonly tls?: TlsFiles | undefined
  readonly sasl?: SaslUser | undefined
}

/** What the files say now. */
export interface Secrets {
  readonly tls: TlsOptions | undefined
  readonly sasl: SASLOptions | undefined
}

/** A dead peer that sent nothing is noticed after this and the system's own probes. */
const KEEP_ALIVE_DELAY_MS = 30_000

/** Reads `host:port`, `[::1]:9092` included. @throws AppError invalid_config */
export function parseBrokerAddress(text: string): BrokerAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text.trim())
  const port = Number(match?.[3])
  if (match === null || port < 1 || port > 65_535) {
    throw new AppError('invalid_config', 'address of a broker not understood', {
      details: { address: text, expected: 'host:port' },
    })
  }
  return { host: match[1] ?? match[2]!, port }
}

/** Reads certificates and password. @throws KafkaError unfit: a file cannot be read */
export async function readSecrets({ tls, sasl }: KafkaAccess): Promise<Secrets> {
  const [ca, cert, key, password] = await Promise.all([
    read(tls?.caFile),
    read(tls?.certFile),
    read(tls?.keyFile),
    read(sasl?.passwordFile),
  ])
  return {
    tls: tls && { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) },
    // a newline at the end is the editor's
    sasl: sasl && {
      mechanism: sasl.mechanism,
      username: sasl.username,
      password: String(password).replace(/\r?\n$/, ''),
    },
  }
}

async function read(path: string | undefined): Promise<Buffer | undefined> {
  if (path === undefined) return undefined
  try {
    return await readFile(path)
  } catch (error) {
    throw new KafkaError(`cannot read ${path}`, 'unfit', error)
  }
}

/** Begins to connect; the callback comes when the connection stands, with TLS shaken hands. */
export function openSocket(
  { host, port }: BrokerAddress,
  tls: TlsOptions | undefined,
  onConnect: () => void,
): Socket {
  const socket =
    tls === undefined
      ? connectTcp({ host, port }, onConnect)
      : connectTls({ ...tls, host, port, ...(isIP(host) === 0 && { servername: host }) }, onConnect)
  socket.setNoDelay(true)
  socket.setKeepAlive(true, KEEP_ALIVE_DELAY_MS)
  return socket
}
