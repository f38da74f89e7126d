/** A port of a pod or a Service on this machine's loopback, through the API server. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import type { KubernetesCluster } from './kubernetes-cluster.ts'

const READY_TIMEOUT_MS = 20_000

export class PortForward {
  readonly port: number
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.port = port
  }

  /** @param target pod/name, service/name. @throws Error with what kubectl said */
  static async open(
    cluster: KubernetesCluster,
    namespace: string,
    target: string,
    port: number,
  ): Promise<PortForward> {
    const args = ['-n', namespace, 'port-forward', target, `:${String(port)}`]
    const child = spawn('kubectl', args, { env: { ...process.env, ...cluster.environment } })
    let said = ''
    const local = await new Promise<number>((resolve, reject) => {
      const fail = (): void => reject(new Error(`kubectl port-forward ${target}: ${said}`))
      const timer = setTimeout(fail, READY_TIMEOUT_MS)
      child.on('error', reject)
      child.on('close', fail)
      child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
      child.stdout.on('data', (chunk: Buffer) => {
        said += chunk.toString()
        const found = /127\.0\.0\.1:(\d+)/.exec(said)
        if (found === null) return
        clearTimeout(timer)
        resolve(Number(found[1]))
      })
    })
    return new PortForward(child, local)
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const closed = once(this.#child, 'close')
    this.#child.kill()
    await closed
  }
}
