/** A trial install: the chart with its throw-away servers, and what is needed to reach it from here. */
import type { KubernetesCluster } from './kubernetes-cluster.ts'
import { PortForward } from './port-forward.ts'

export const TRIAL_STORE = 's3://tributary'

export class Trial {
  readonly #cluster: KubernetesCluster
  readonly #namespace: string

  constructor(cluster: KubernetesCluster, namespace: string) {
    this.#cluster = cluster
    this.#namespace = namespace
  }

  /** Installs, and waits until everything is ready. */
  async install(values: readonly string[] = []): Promise<void> {
    await this.#cluster.createNamespace(this.#namespace)
    const flags = ['-f', `${this.#cluster.chart}/values-dev.yaml`, ...this.#cluster.imageFlags]
    const sets = values.map((value) => `--set=${value}`)
    const where = ['tributary', this.#cluster.chart, '-n', this.#namespace]
    await this.#cluster.helm('install', ...where, ...flags, ...sets, '--wait', '--timeout=6m')
  }

  /** Address of the routers' Service: reached from nodes, and from a machine that holds the cluster. */
  routerAddress(): Promise<string> {
    const what = ['service', 'tributary-router', '-o', 'jsonpath={.spec.clusterIP}']
    return this.#cluster.kubectl('-n', this.#namespace, 'get', ...what)
  }

  openStore(): Promise<PortForward> {
    return PortForward.open(this.#cluster, this.#namespace, 'service/tributary-dev-s3', 7070)
  }

  /** AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the trial's S3 server. */
  async storeCredentials(): Promise<Record<string, string>> {
    const what = ['secret', 'tributary-dev-s3', '-o', 'json']
    const secret = await this.#cluster.kubectl('-n', this.#namespace, 'get', ...what)
    const { data } = JSON.parse(secret) as { readonly data: Readonly<Record<string, string>> }
    const decoded = Object.entries(data).map(([name, value]) => [
      name,
      Buffer.from(value, 'base64').toString(),
    ])
    return Object.fromEntries(decoded) as Record<string, string>
  }

  async remove(): Promise<void> {
    await this.#cluster.run('helm', ['uninstall', 'tributary', '-n', this.#namespace])
    await this.#cluster.run('kubectl', ['delete', 'namespace', this.#namespace, '--wait=false'])
  }
}
