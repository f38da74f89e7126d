/** Faults of the network between each pair of parts: cut, one-way, refused, flapping, late, slow. */
import type { Impairment } from '@tributary/common/testing/tcp-link'
import type { SeededRandom } from '@tributary/common/testing/seeded-random'

import type { Line, LineEnd } from '../cluster/line-board.ts'
import type { Fault, Scene } from './fault.ts'
import { hold } from './fault.ts'

type Pair = readonly [from: LineEnd, to: LineEnd]

export const PAIRS: readonly Pair[] = [
  ['client', 'router'],
  ['router', 'broker'],
  ['router', 'redis'],
  ['ingester', 'broker'],
  ['ingester', 'redis'],
  ['ingester', 'store'],
  ['client', 'standalone'],
  ['standalone', 'store'],
]

export function networkFaults(): Fault[] {
  return PAIRS.flatMap((pair) => [
    onLines(pair, 'N1', 'silence on all lines', all, (line) =>
      line.proxy.impair('both', { isHeld: true }),
    ),
    onLines(pair, 'N1', 'silence on one line', one, (line) =>
      line.proxy.impair('both', { isHeld: true }),
    ),
    onLines(pair, 'N1', 'silence one way', one, (line, random) =>
      line.proxy.impair(random.pick(['up', 'down'] as const), { isHeld: true }),
    ),
    onLines(pair, 'N1', 'refused', one, (line) => line.proxy.refuse()),
    onLines(pair, 'N1', 'flapping', all, (line) =>
      line.proxy.flap({ healthyMsMax: 1000, faultyMsMax: 500, impairment: { isHeld: true } }),
    ),
    onLines(pair, 'N1', 'cut again and again', all, (line) =>
      line.proxy.flap({ healthyMsMax: 1500, faultyMsMax: 10 }),
    ),
    onLines(pair, 'N1', 'answers lost', one, (line) =>
      line.proxy.impair('down', { isSwallowed: true }),
    ),
    onLines(pair, 'N1', 'cut in the middle of an answer', all, (line, random) =>
      line.proxy.cutAfter('down', random.below(20_000)),
    ),
    onLines(pair, 'N1', 'cut in the middle of a request', all, (line, random) =>
      line.proxy.cutAfter('up', random.below(200_000)),
    ),
    ...Object.entries(WEATHER).map(([name, impairment]) =>
      onLines(pair, 'N2', name, all, (line) => line.proxy.impair('both', impairment)),
    ),
  ])
}

const WEATHER: Readonly<Record<string, Impairment>> = {
  'half a second late': { delayMs: 500, jitterMs: 100 },
  'packets lost': { stallShare: 0.05, stallMs: 400, jitterMs: 30 },
  'slow at 20 kB/s': { bytesPerSecond: 20_000 },
}

type Choose = (lines: readonly Line[], random: SeededRandom) => readonly Line[]

const all: Choose = (lines) => lines
const one: Choose = (lines, random) => [random.pick(lines)]

function onLines(
  [from, to]: Pair,
  id: string,
  what: string,
  choose: Choose,
  begin: (line: Line, random: SeededRandom) => void | Promise<void>,
): Fault {
  return {
    id,
    name: `${from} to ${to}: ${what}`,
    group: `lines ${from} ${to}`,
    obstacle: ({ cluster }) =>
      cluster.board.between(from, to).length === 0 ? `no ${from} or ${to} here` : undefined,
    run: async (scene: Scene, random) => {
      const lines = choose(scene.cluster.board.between(from, to), random)
      for (const line of lines) await begin(line, random)
      const held = await hold(scene, random, async () => {
        for (const { proxy } of lines) await proxy.heal()
      })
      return `${lines.map(({ name }) => name).join(', ')} ${held}`
    },
  }
}
