/** `npm run crash -- --cycles 300 --seed 1`: the long form of the crash test. */
import { parseArgs } from 'node:util'
import { runCrashes } from './crash-run.ts'

const { values } = parseArgs({
  options: {
    cycles: { type: 'string', default: '300' },
    seed: { type: 'string', default: '1' },
    'proof-every': { type: 'string', default: '5' },
  },
})
const startMs = performance.now()
const result = await runCrashes({
  cycles: Number(values.cycles),
  seed: Number(values.seed),
  proofEvery: Number(values['proof-every']),
  report: (line) => process.stdout.write(`${line}\n`),
})
const seconds = Math.round((performance.now() - startMs) / 1000)
process.stdout.write(
  `${String(result.kills)} kills in ${String(seconds)} s, ${String(result.acknowledged)} rows acknowledged, ` +
    `${String(result.retried)} requests sent again\n`,
)
for (const [point, count] of [...result.killsAt].sort()) {
  process.stdout.write(`  ${point.padEnd(28)} ${String(count)}\n`)
}
