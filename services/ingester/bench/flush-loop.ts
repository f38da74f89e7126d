/**
 * What `npm run profile` runs under the profiler: decoding, or flushing, again and again for some
 * seconds with nothing else in the process.
 *
 *     node services/ingester/bench/flush-loop.ts decode|flush SECONDS
 */
import { bodiesOf, FlushRig } from './flush-rig.ts'

const [subject, seconds] = process.argv.slice(2)
const rig = await FlushRig.open('logs')
try {
  const bodies = bodiesOf('logs', 100_000, { records: 1000, resources: 10 })
  const entries = rig.decode(bodies)
  const endMs = performance.now() + 1000 * Number(seconds)
  while (performance.now() < endMs) {
    if (subject === 'decode') rig.decode(bodies)
    else await rig.flush(rig.jobOf(entries))
  }
} finally {
  rig.close()
}
