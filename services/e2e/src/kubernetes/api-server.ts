/**
 * An API server of Kubernetes with its etcd, and nothing else of a cluster: objects are stored and watched, nobody
 * acts on them. Programs come from TRIBUTARY_KUBERNETES_TOOLS (`unpack` prints their folder).
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

import { testKubernetes } from '@tributary/common/config/config'
import { endWithUs } from '@tributary/common/testing/end-with-us'
import { freePort } from '@tributary/common/testing/free-port'

const run = promisify(execFile)
const READY_TIMEOUT_MS = 120_000
const POLL_MS = 200
/** For documentation (RFC 5737): nobody is sent there. */
const ADVERTISED = '192.0.2.1'

interface Places {
  readonly folder: string
  readonly programs: string
  readonly etcdPort: number
  readonly port: number
}

export class ApiServer {
  readonly kubeconfig: string
  readonly #places: Places
  readonly #etcd: ChildProcess
  #server: ChildProcess | undefined

  private constructor(places: Places, kubeconfig: string, etcd: ChildProcess) {
    this.#places = places
    this.kubeconfig = kubeconfig
    this.#etcd = etcd
  }

  /** @throws Error that says what to set, where there are no programs */
  static async start(parent: string): Promise<ApiServer> {
    const { tools } = testKubernetes()
    if (tools === undefined) {
      throw new Error('no API server: set TRIBUTARY_KUBERNETES_TOOLS to a folder with `unpack`')
    }
    const folder = join(parent, 'kubernetes')
    await mkdir(folder, { recursive: true })
    const { stdout } = await run(join(tools, 'unpack'), [])
    const programs = stdout.trim().split('\n').at(-1)!
    const places = { folder, programs, etcdPort: await freePort(), port: await freePort() }
    const token = randomBytes(16).toString('hex')
    await writeFile(join(folder, 'tokens.csv'), `${token},test,test,"system:masters"\n`)
    await writeFile(join(folder, 'account.key'), accountKey())
    const kubeconfig = join(folder, 'kubeconfig')
    await writeFile(kubeconfig, JSON.stringify(kubeconfigOf(places.port, token)))
    const server = new ApiServer(places, kubeconfig, await startEtcd(places))
    try {
      await server.restart()
      return server
    } catch (error) {
      await server.stop()
      throw error
    }
  }

  /** Starts the server where it does not run; etcd has kept what was in it. */
  async restart(): Promise<void> {
    const { folder, etcdPort, port } = this.#places
    this.#server ??= launch(this.#places, 'kube-apiserver', [
      `--etcd-servers=http://127.0.0.1:${String(etcdPort)}`,
      ...['--bind-address=127.0.0.1', `--secure-port=${String(port)}`, `--cert-dir=${folder}`],
      ...[`--advertise-address=${ADVERTISED}`, '--endpoint-reconciler-type=none'],
      ...['--service-cluster-ip-range=10.96.0.0/16', '--authorization-mode=RBAC'],
      `--token-auth-file=${join(folder, 'tokens.csv')}`,
      `--service-account-key-file=${join(folder, 'account.key')}`,
      `--service-account-signing-key-file=${join(folder, 'account.key')}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      // pods are made without an account, which nobody would make here
      '--disable-admission-plugins=ServiceAccount',
    ])
    const deadlineMs = performance.now() + READY_TIMEOUT_MS
    while (!(await this.#isReady())) {
      if (performance.now() > deadlineMs) {
        throw new Error(`the API server does not become ready: ${folder}/kube-apiserver.log`)
      }
      await sleep(POLL_MS)
    }
  }

  /** kill -9 */
  async kill(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server !== undefined) await end(server)
  }

  /** Makes objects. */
  async create(objects: readonly object[]): Promise<void> {
    const file = join(this.#places.folder, 'objects.json')
    await writeFile(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }))
    await this.kubectl('create', '-f', file)
  }

  /** @returns what it printed */
  async kubectl(...args: readonly string[]): Promise<string> {
    const program = join(this.#places.programs, 'kubectl')
    const { stdout } = await run(program, [`--kubeconfig=${this.kubeconfig}`, ...args])
    return stdout
  }

  async stop(): Promise<void> {
    await this.kill()
    await end(this.#etcd)
  }

  async #isReady(): Promise<boolean> {
    try {
      // the first objects go there: it is made a moment after the server says that it is ready
      await this.kubectl('get', '--raw=/readyz')
      await this.kubectl('get', 'namespace', 'default')
      return true
    } catch {
      return false
    }
  }
}

function startEtcd(places: Places): Promise<ChildProcess> {
  const { folder, etcdPort } = places
  return freePort().then((peerPort) => {
    const client = `http://127.0.0.1:${String(etcdPort)}`
    const peer = `http://127.0.0.1:${String(peerPort)}`
    return launch(places, 'etcd', [
      ...[`--data-dir=${join(folder, 'etcd')}`, '--unsafe-no-fsync', '--log-level=warn'],
      ...[`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
      ...[`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`],
      `--initial-cluster=default=${peer}`,
    ])
  })
}

function launch({ folder, programs }: Places, name: string, flags: readonly string[]) {
  const child = spawn(join(programs, name), flags, { stdio: ['ignore', 'pipe', 'pipe'] })
  const log = createWriteStream(join(folder, `${name}.log`), { flags: 'a' })
  child.stdout.pipe(log, { end: false })
  child.stderr.pipe(log, { end: false })
  endWithUs(child)
  return child
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

function accountKey(): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return privateKey.export({ type: 'pkcs1', format: 'pem' }).toString()
}

function kubeconfigOf(port: number, token: string): object {
  const server = `https://127.0.0.1:${String(port)}`
  return {
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'test' },
    // its certificate is of its own making, new with each folder
    clusters: [{ name: 'test', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'test', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test', namespace: 'default' } }],
  }
}
