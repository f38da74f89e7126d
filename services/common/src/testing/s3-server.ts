/**
 * A real S3-compatible server for tests: the one that TRIBUTARY_S3_ENDPOINT names (with the usual AWS
 * variables), else a versitygw of our own on a free port, built once with Go into the cache folder.
 * moto is not used: it lets two racers win and takes wrong checksums.
 */
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ChildProcess } from 'node:child_process'

import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'

import { testS3 } from '../config/config.ts'
import { endWithUs } from './end-with-us.ts'
import { freePort } from './free-port.ts'
import { findVersitygw } from '../local-servers/versitygw.ts'

const READY_TIMEOUT_MS = 20_000

export interface S3Server {
  readonly endpoint: string
  readonly region: string
  /** A bucket of this server's own, empty. */
  readonly bucket: string
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
  /** Where the bucket's objects lie as files by their keys; only of one of our own. */
  readonly bucketFolder?: string
  /** Kills the server and starts it again on the same port and data; only for one of our own. */
  kill(): Promise<void>
  restart(): Promise<void>
  stop(): Promise<void>
}

/** Starts a server, or makes a bucket on the given one. */
export async function startS3Server(): Promise<S3Server> {
  const given = testS3()
  if (given.endpoint !== undefined && given.endpoint !== '') {
    const { endpoint, accessKeyId = '', secretAccessKey = '' } = given
    return givenServer(endpoint, { accessKeyId, secretAccessKey })
  }
  const program = findVersitygw()
  const folder = await mkdtemp(join(tmpdir(), 'tributary-s3-'))
  const server = new Versitygw(program, folder, await freePort())
  await server.restart()
  await createBucket(server)
  return server
}

class Versitygw implements S3Server {
  readonly region = 'us-east-1'
  readonly bucket = 'tributary-test'
  readonly endpoint: string
  readonly bucketFolder: string
  readonly credentials = { accessKeyId: 'tributary', secretAccessKey: randomUUID() }
  readonly #program: string
  readonly #folder: string
  readonly #port: number
  #process: ChildProcess | undefined

  constructor(program: string, folder: string, port: number) {
    this.#program = program
    this.#folder = folder
    this.#port = port
    this.endpoint = `http://127.0.0.1:${port}`
    this.bucketFolder = join(folder, 'data', this.bucket)
  }

  async restart(): Promise<void> {
    await this.kill()
    const data = join(this.#folder, 'data')
    await mkdir(data, { recursive: true })
    const { accessKeyId, secretAccessKey } = this.credentials
    const args = ['--port', `127.0.0.1:${this.#port}`, '--keep-alive', '--quiet']
    args.push('--access', accessKeyId, '--secret', secretAccessKey, 'posix', data)
    const child = spawn(this.#program, args, { stdio: 'ignore' })
    this.#process = child
    endWithUs(child)
    await untilReady(this.endpoint, child)
  }

  async kill(): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  async stop(): Promise<void> {
    await this.kill()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

async function givenServer(
  endpoint: string,
  credentials: S3Server['credentials'],
): Promise<S3Server> {
  const refuse = () => Promise.reject(new Error('TRIBUTARY_S3_ENDPOINT is not ours to stop'))
  const server: S3Server = {
    endpoint,
    region: 'us-east-1',
    bucket: `tributary-test-${randomUUID()}`,
    credentials,
    kill: refuse,
    restart: refuse,
    stop: () => Promise.resolve(),
  }
  await createBucket(server)
  return server
}

async function createBucket(server: S3Server): Promise<void> {
  const { endpoint, region, credentials, bucket } = server
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true })
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  client.destroy()
}

async function untilReady(endpoint: string, child: ChildProcess): Promise<void> {
  for (const deadline = Date.now() + READY_TIMEOUT_MS; Date.now() < deadline;) {
    if (child.exitCode !== null) throw new Error(`versitygw ended with ${child.exitCode}`)
    try {
      await fetch(endpoint, { method: 'HEAD' })
      return
    } catch {
      await sleep(25)
    }
  }
  throw new Error('versitygw does not answer')
}
