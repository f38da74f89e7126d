/**
 * The cluster that Kubernetes tests use: that of KUBECONFIG, else one that the tools of
 * TRIBUTARY_KUBERNETES_TOOLS bring up on this machine, with images made here.
 */
import { execFile, spawn } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { cacheFolder, testKubernetes } from '@tributary/common/config/config'

import { CHART_FOLDER } from './chart-values.ts'
import { makeCollectorImage } from './collector-image.ts'
import { makeDevImages } from './dev-images.ts'

const run = promisify(execFile)
const IMAGE_TOOL = fileURLToPath(new URL('../../tools/image.ts', import.meta.url))
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024
const NEEDS =
  'set KUBECONFIG (kubectl and helm on the PATH, TRIBUTARY_TEST_IMAGE an image that the cluster can ' +
  'pull), or TRIBUTARY_KUBERNETES_TOOLS to a folder that brings a cluster up'

const ANOTHER =
  'another run has a cluster on this machine, which has room for one; let it end, take the cluster down ' +
  'with the cluster-down of TRIBUTARY_KUBERNETES_TOOLS, or use it'

const TAG = 'under-test'
/** The same image by another name: to upgrade to. */
const NEXT_TAG = 'under-test-next'

/** Names of the images that the chart's dev servers have. */
const DEV_IMAGES = {
  kafka: 'docker.io/apache/kafka:4.3.1',
  redis: 'docker.io/library/redis:7.4-alpine',
  objectStore: 'docker.io/versity/versitygw:v1.8.0',
}

/** There is no cluster, and none could be brought up: nothing is known of what would run on it. */
export class NoClusterError extends Error {}

export interface Ran {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** What child processes need to reach the cluster. */
export interface ClusterEnvironment {
  readonly KUBECONFIG: string
  readonly PATH: string
  /** repository:tag */
  readonly TRIBUTARY_TEST_IMAGE: string
}

export class KubernetesCluster {
  readonly environment: ClusterEnvironment
  readonly #tools: string | undefined

  private constructor(environment: ClusterEnvironment, tools?: string) {
    this.environment = environment
    this.#tools = tools
  }

  /** The cluster of KUBECONFIG. @throws NoClusterError that says what to set */
  static given(): KubernetesCluster {
    const { kubeconfig, image } = testKubernetes()
    if (kubeconfig === undefined || image === undefined) throw new NoClusterError(NEEDS)
    const PATH = process.env['PATH'] ?? ''
    return new KubernetesCluster({ KUBECONFIG: kubeconfig, PATH, TRIBUTARY_TEST_IMAGE: image })
  }

  /** The cluster of KUBECONFIG, else one of so many nodes on this machine. */
  static async open(
    nodes: number,
    report: (step: string) => void = () => undefined,
  ): Promise<KubernetesCluster> {
    const { kubeconfig, tools } = testKubernetes()
    if (kubeconfig !== undefined) return KubernetesCluster.given()
    if (tools === undefined) throw new NoClusterError(NEEDS)
    const { line: programs } = await lastLine(join(tools, 'unpack'), [], {})
    report('programs of the cluster unpacked')
    const { archives, image } = await makeImages()
    report('images made')
    const settings = { BIN: programs, NODES: String(nodes), IMAGES: archives.join(' ') }
    const { line: KUBECONFIG, stderr } = await lastLine(join(tools, 'cluster-up'), [], settings)
    // it has images and a number of nodes of its own, and somebody may need it
    if (/already up/.test(stderr)) throw new Error(`${ANOTHER}: KUBECONFIG=${KUBECONFIG}`)
    report(`cluster of ${String(nodes)} nodes up`)
    const PATH = `${programs}${delimiter}${process.env['PATH'] ?? ''}`
    return new KubernetesCluster({ KUBECONFIG, PATH, TRIBUTARY_TEST_IMAGE: image }, tools)
  }

  /** Takes down what `open` brought up. */
  async close(): Promise<void> {
    if (this.#tools !== undefined) await lastLine(join(this.#tools, 'cluster-down'), [], {})
  }

  /** The tag to upgrade the image under test to; undefined for a cluster that was given. */
  get nextImageTag(): string | undefined {
    return this.#tools === undefined ? undefined : NEXT_TAG
  }

  /** Flags of helm that name the image under test. */
  get imageFlags(): string[] {
    const image = this.environment.TRIBUTARY_TEST_IMAGE
    const colon = image.lastIndexOf(':')
    return [
      `--set=image.repository=${image.slice(0, colon)}`,
      `--set=image.tag=${image.slice(colon + 1)}`,
      '--set=image.pullPolicy=IfNotPresent',
    ]
  }

  /** @throws Error with what it printed, unless it ends with 0 */
  async kubectl(...args: string[]): Promise<string> {
    return succeeded(`kubectl ${args.join(' ')}`, await this.run('kubectl', args))
  }

  /** @throws Error with what it printed, unless it ends with 0 */
  async helm(...args: string[]): Promise<string> {
    return succeeded(`helm ${args.join(' ')}`, await this.run('helm', args))
  }

  /** Applies objects to a namespace. */
  async apply(namespace: string, objects: readonly object[]): Promise<void> {
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects })
    const args = ['-n', namespace, 'apply', '-f', '-']
    succeeded('kubectl apply', await this.run('kubectl', args, list))
  }

  /** A new namespace whose pods must pass the "restricted" Pod Security level. */
  async createNamespace(name: string, level = 'restricted'): Promise<void> {
    const labels = ['enforce', 'warn'].map((mode) => [`pod-security.kubernetes.io/${mode}`, level])
    const metadata = { name, labels: Object.fromEntries(labels) as object }
    const namespace = JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata })
    succeeded('kubectl apply', await this.run('kubectl', ['apply', '-f', '-'], namespace))
  }

  /** Runs a program to its end, whatever its status. */
  async run(program: string, args: readonly string[], input = ''): Promise<Ran> {
    const child = spawn(program, args, { env: { ...process.env, ...this.environment } })
    const [chunks, errors]: [Buffer[], Buffer[]] = [[], []]
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => errors.push(chunk))
    child.stdin.end(input)
    const status = await new Promise<number>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code) => resolve(code ?? -1))
    })
    const text = (parts: readonly Buffer[]): string => Buffer.concat(parts).toString()
    return { status, stdout: text(chunks), stderr: text(errors) }
  }

  get chart(): string {
    return CHART_FOLDER
  }
}

function succeeded(what: string, { status, stdout, stderr }: Ran): string {
  if (status === 0) return stdout
  throw new Error(`${what} ended with ${String(status)}:\n${stdout}${stderr}`)
}

/** Those of the dev servers and the collector are kept; that of the project is made anew. */
async function makeImages(): Promise<{ archives: string[]; image: string }> {
  const folder = join(cacheFolder(), 'images')
  mkdirSync(folder, { recursive: true })
  const image = `localhost/tributary:${TAG}`
  const next = `localhost/tributary:${NEXT_TAG}`
  const archive = join(folder, `tributary-${String(process.pid)}.tar`)
  process.once('exit', () => rmSync(archive, { force: true }))
  await run(process.execPath, [IMAGE_TOOL, '--out', archive, '--name', image, '--name', next])
  const others = [...(await makeDevImages(folder, DEV_IMAGES)), await makeCollectorImage(folder)]
  return { archives: [archive, ...others], image }
}

/** The last line that a tool prints. Its servers go on; they have a session of their own. */
async function lastLine(
  tool: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<{ line: string; stderr: string }> {
  try {
    const { stdout, stderr } = await run(tool, [...args], {
      env: { ...process.env, ...environment },
      maxBuffer: OUTPUT_BYTES_MAX,
    })
    return { line: stdout.trim().split('\n').at(-1) ?? '', stderr }
  } catch (error) {
    throw new NoClusterError(`${tool} failed`, { cause: error })
  }
}
