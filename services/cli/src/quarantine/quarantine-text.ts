import { describeBatch } from './quarantined-batches.ts'
import type { QuarantinedBatch } from './quarantined-batches.ts'

/** A few lines for each batch, and how many there are of each state. */
export function quarantineText(batches: readonly QuarantinedBatch[]): string {
  if (batches.length === 0) return 'nothing is in quarantine\n'
  const counts = [...Map.groupBy(batches, ({ state }) => state)]
  const sum = counts.map(([state, group]) => `${group.length} ${state}`).join(', ')
  return `${batches.map(batchText).join('')}${sum}\n`
}

function batchText(batch: QuarantinedBatch): string {
  const { state, topic, partition, offset, reason, quarantinedAt, problem, ...rest } =
    describeBatch(batch) as Readonly<Record<string, string>>
  const { tenant, signal, rows, bytes, sentTo } = rest
  const content =
    problem === undefined ? `${rows} rows of ${tenant}/${signal}` : `not readable: ${problem}`
  const lines = [
    `${batch.key}`,
    `  ${state}, ${topic}/${partition} offset ${offset}, ${quarantinedAt}`,
    `  ${content}, ${bytes} bytes`,
  ]
  if (reason !== '') lines.push(`  ${reason}`)
  if (sentTo !== undefined) lines.push(`  sent: ${sentTo}`)
  return `${lines.join('\n')}\n`
}
