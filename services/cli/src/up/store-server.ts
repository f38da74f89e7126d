import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import { findVersitygw } from '@tributary/common/local-servers/versitygw'

import { ChildProgram } from './child-program.ts'
import { ofProgram, tryContainer, untilListening } from './dev-server.ts'
import type { DevServer, ServerSite } from './dev-server.ts'

const IMAGE = 'docker.io/versity/versitygw:v1.8.0'
const ACCESS_KEY_ID = 'tributary'
const BUCKET = 'tributary'
const INSIDE_PORT = 7070

export interface StoreServer extends DevServer {
  /** Settings of whoever reads or writes it. */
  readonly flags: readonly string[]
  /** What the AWS client takes from its environment. */
  readonly credentials: Readonly<Record<string, string>>
}

export interface StorePlan {
  readonly id: string
  readonly port: number
  readonly secretAccessKey: string
}

/** An S3-compatible server of our own; a folder where there is no way to one. */
export async function startStore(site: ServerSite, plan: StorePlan): Promise<StoreServer> {
  const server =
    (await tryContainer(site, 's3', containerPlan(plan))) ?? (await startLocal(site, plan))
  if (server === undefined) return folderStore(site)
  return {
    ...server,
    flags: [
      `--object-store=s3://${BUCKET}/up`,
      `--object-store-endpoint=http://127.0.0.1:${plan.port}`,
    ],
    credentials: {
      AWS_ACCESS_KEY_ID: ACCESS_KEY_ID,
      AWS_SECRET_ACCESS_KEY: plan.secretAccessKey,
    },
  }
}

function containerPlan({ id, port, secretAccessKey }: StorePlan) {
  return {
    name: `tributary-up-${id}-s3`,
    image: IMAGE,
    port: [port, INSIDE_PORT],
    environment: { ROOT_ACCESS_KEY: ACCESS_KEY_ID, ROOT_SECRET_KEY: secretAccessKey },
    dataFolder: '/data',
    entrypoint: 'sh',
    // a bucket of this server is a folder
    words: [
      '-ec',
      `mkdir -p /data/${BUCKET}; exec versitygw --port :${INSIDE_PORT} --keep-alive --quiet posix /data`,
    ],
  } as const
}

async function startLocal(site: ServerSite, plan: StorePlan): Promise<DevServer | undefined> {
  let versitygw: string
  try {
    site.tell('s3: looking for versitygw in the cache folder, else Go builds it (once, a minute)')
    versitygw = findVersitygw()
  } catch (error) {
    const reason = (error instanceof Error ? error.message : String(error)).split('\n')[0]!
    site.tell(`s3: no server (${reason})`)
    return undefined
  }
  const folder = join(site.folder, 's3')
  await mkdir(join(folder, BUCKET), { recursive: true })
  const words = ['--port', `127.0.0.1:${plan.port}`, '--keep-alive', '--quiet', 'posix', folder]
  const program = new ChildProgram({
    name: 's3',
    command: [versitygw, ...words],
    environment: {
      ...site.environment,
      ROOT_ACCESS_KEY: ACCESS_KEY_ID,
      ROOT_SECRET_KEY: plan.secretAccessKey,
    },
    logFile: join(site.folder, 'logs', 's3.log'),
  })
  await untilListening('s3', plan.port, program)
  return ofProgram('s3', `s3: versitygw of this machine, port ${plan.port}`, program)
}

/** Good enough on one machine: it keeps create-only writes, as a bucket does. */
function folderStore(site: ServerSite): StoreServer {
  const folder = join(site.folder, 'store')
  return {
    name: 'store',
    told: `store: the folder ${folder}, for want of an S3-compatible server: install Go, start a container engine, or name a bucket with --object-store`,
    program: undefined,
    stop: () => Promise.resolve(),
    flags: [`--object-store=${pathToFileURL(folder).href}`],
    credentials: {},
  }
}
