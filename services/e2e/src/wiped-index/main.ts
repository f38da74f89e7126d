/**
 * `npm run wiped-index -- --files 100000`: what becomes of a bucket of so many files when Redis is
 * emptied, when the cluster is replaced, and when its Kafka is. Prints what it took; ends with 1 where a
 * row is lost or stored twice.
 */
import { parseArgs } from 'node:util'

import { runWipedIndex } from './wiped-index-run.ts'

/** Nobody who waits for an answer gives up before that. */
const GAP_MS_MAX = 5000

const { values } = parseArgs({
  options: {
    files: { type: 'string', default: '100000' },
    partitions: { type: 'string', default: '16' },
  },
})
const report = (line: string): void => {
  process.stdout.write(`${line}\n`)
}
const result = await runWipedIndex({
  files: Number(values.files),
  partitions: Number(values.partitions),
  report,
})
report(JSON.stringify(result, undefined, 2))
// times say something on a machine that does nothing else: the test asks for none of this
const { answers, longestGapMs } = result
const others = Object.keys(answers).filter((answer) => answer !== 'ok')
if (others.length > 0 || longestGapMs > GAP_MS_MAX) {
  report(`! acknowledgements stopped for ${String(longestGapMs)} ms; answers: ${others.join(', ')}`)
  process.exitCode = 1
}
