/** Sockets to brokers: TCP or TLS, without Nagle's delay, alive-checked. */
import { readFile } from 'node:fs/promises'
import { connect as connectTcp, isIP } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { ConnectionOptions as TlsOptions } from 'node:tls'

import type { SASLOptions } from 'kafkajs'

import { AppError } from '../errors.ts'

export interface BrokerAddress {
  readonly host: string
  readonly port: number
}

/** Paths of PEM files, read for every connection: a renewed certificate needs no restart. */
export interface TlsFiles {
  /** Authorities to trust; default: those that Node trusts. */
  readonly caFile?: string
  /** Certificate chain and key of this client, where brokers ask for one. */
  readonly certFile?: string
  readonly keyFile?: string
}

/** How brokers are reached, and as whom. */
export interface KafkaAccess {
  readonly clientId: string
  /** For TCP, TLS and SASL together. */
  readonly connectTimeoutMs: number
  readonly tls?: TlsFiles
  readonly sasl?: SASLOptions
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

/** Reads the files that TLS needs; undefined without TLS. @throws what the file system throws */
export async function readTlsFiles(files: TlsFiles | undefined): Promise<TlsOptions | undefined> {
  if (files === undefined) return undefined
  const read = (path: string | undefined) => (path === undefined ? undefined : readFile(path))
  const [ca, cert, key] = await Promise.all([
    read(files.caFile),
    read(files.certFile),
    read(files.keyFile),
  ])
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) }
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
