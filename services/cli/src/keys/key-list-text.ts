import { tableText } from '../query/table-text.ts'
import type { ListedKey } from './key-ring.ts'

const COLUMNS = ['id', 'tenant', 'standing', 'created', 'ends', 'note'] as const

/** The keys as a table for people. */
export function keyListText(keys: readonly ListedKey[]): string {
  return tableText({
    columns: COLUMNS,
    isNumeric: COLUMNS.map(() => false),
    rows: keys.map((key) => [
      key.id,
      key.tenant,
      key.standing,
      key.createdAt,
      key.revokedAt ?? key.expiresAt ?? '',
      key.note,
    ]),
  })
}
