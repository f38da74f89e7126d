import type { ClusterReport, PartitionLine } from './cluster-view.ts'

const HEADINGS = ['partition', 'owner', 'state', 'epoch', 'lag', 'lag s', 'unflushed', 'oldest s']
const LAST_HEADINGS = ['valid through', 'reason']
/** Columns of numbers stand to the right. */
const RIGHT = new Set(['partition', 'epoch', 'lag', 'lag s', 'unflushed', 'oldest s'])

/** Who is there, then a line for each partition. */
export function partitionsText({ members, partitions, silent }: ClusterReport): string {
  const count = (role: string): number => members.filter((member) => member.role === role).length
  const draining = members.filter(({ isDraining }) => isDraining).map(({ name }) => name)
  const told = [`${count('router')} routers, ${count('ingester')} ingesters`]
  if (draining.length > 0) told.push(`draining: ${draining.join(', ')}`)
  if (silent.length > 0) told.push(`no answer from ${silent.join(', ')}: as their last beat said`)
  if (partitions.length === 0) return `${told.join('\n')}\nno partition was ever owned\n`
  return `${told.join('\n')}\n${tableText(partitions.map(cellsOf))}`
}

function cellsOf(line: PartitionLine): readonly string[] {
  return [
    String(line.partition),
    line.owner === '' ? '-' : line.owner,
    line.state,
    String(line.epoch),
    String(line.lagOffsets),
    line.lagSeconds.toFixed(1),
    line.unflushedRows === undefined ? '?' : String(line.unflushedRows),
    line.oldestUnflushedSeconds.toFixed(1),
    line.validThrough === '' ? '-' : line.validThrough,
    line.reason,
  ]
}

function tableText(rows: readonly (readonly string[])[]): string {
  const headings = [...HEADINGS, ...LAST_HEADINGS]
  const widths = headings.map((heading, at) =>
    Math.max(heading.length, ...rows.map((cells) => cells[at]!.length)),
  )
  return [headings, ...rows]
    .map((cells) => {
      const padded = cells.map((cell, at) =>
        RIGHT.has(headings[at]!) ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!),
      )
      return `${padded.join('  ').trimEnd()}\n`
    })
    .join('')
}
