/**
 * Every connection between two parts of a test cluster goes through a proxy of its own: a line from one
 * end to another, by name. Faults pick lines by the kinds of their ends.
 */
import { freePort } from '@tributary/common/testing/free-port'
import { TcpProxy } from '@tributary/common/testing/tcp-proxy'

export type LineEnd = 'client' | 'router' | 'ingester' | 'standalone' | 'broker' | 'redis' | 'store'

export interface Line {
  readonly from: LineEnd
  readonly to: LineEnd
  /** Which of its kind, for the log: `router-1 redis`. */
  readonly name: string
  readonly proxy: TcpProxy
}

export class LineBoard {
  readonly lines: Line[] = []
  readonly #seed: number

  constructor(seed: number) {
    this.#seed = seed
  }

  /** Lays a line to a port; a target that is not known yet is set by `proxy.retarget`. */
  async lay(from: LineEnd, to: LineEnd, name: string, targetPort = 0): Promise<TcpProxy> {
    const seed = this.#seed + this.lines.length
    const proxy = await TcpProxy.start({ targetPort, port: await freePort(), seed })
    this.lines.push({ from, to, name, proxy })
    return proxy
  }

  between(from: LineEnd, to: LineEnd): Line[] {
    return this.lines.filter((line) => line.from === from && line.to === to)
  }

  /** The kinds of ends that lines join, each pair once. */
  pairs(): (readonly [LineEnd, LineEnd])[] {
    const names = new Set(this.lines.map(({ from, to }) => `${from} ${to}`))
    return [...names].map((name) => name.split(' ') as [LineEnd, LineEnd])
  }

  async heal(): Promise<void> {
    await Promise.all(this.lines.map(({ proxy }) => proxy.heal()))
  }

  async stop(): Promise<void> {
    await Promise.all(this.lines.map(({ proxy }) => proxy.stop()))
  }
}
