/** `npm run fidelity -- --requests 10000`: the round trip of every signal and encoding. */
import { parseArgs } from 'node:util'
import { SIGNAL_NAMES } from '@tributary/common/signal'
import { roundTrip } from './round-trip.ts'

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    step: { type: 'string', default: '250' },
  },
})
const requests = Number(values.requests)
const step = Number(values.step)
let failed = false
for (const signal of SIGNAL_NAMES) {
  for (const encoding of ['protobuf', 'json'] as const) {
    let items = 0
    let rejected = 0
    let files = 0
    for (let done = 0; done < requests; done += step) {
      const outcome = await roundTrip({
        signal,
        encoding,
        firstSeed: Number(values.seed) + done,
        requests: Math.min(step, requests - done),
        attributeColumnsMax: done % (2 * step) === 0 ? 1000 : 40,
      })
      items += outcome.items
      rejected += outcome.rejectedItems
      files += outcome.files
      if (outcome.differences.length === 0) continue
      failed = true
      process.stdout.write(`${outcome.differences.slice(0, 10).join('\n')}\n`)
    }
    process.stdout.write(
      `${signal} ${encoding}: ${String(requests)} requests, ${String(items)} items in ${String(files)} files, ` +
        `${String(rejected)} rejected, ${failed ? 'NOT EQUAL' : 'equal'}\n`,
    )
  }
}
process.exitCode = failed ? 1 : 0
