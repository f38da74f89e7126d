/** A store in a temporary folder with Parquet files that DuckDB wrote, and commits that name them. */
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { DuckDBInstance } from '@duckdb/node-api'

import { serializeCommitRecord } from '@tributary/common/commit/commit-record'
import type { CommitFile } from '@tributary/common/commit/commit-record'
import { commitKey, dataKey } from '@tributary/common/paths'
import type { SignalName } from '@tributary/common/signal'

const ID = { logId: 'store-1', topic: 'standalone', partition: 0 }

export interface FixtureFile {
  readonly sql: string
  readonly rows: number
  readonly tenant?: string
  readonly signal?: SignalName
  readonly hour?: string
  readonly keyValues?: Readonly<Record<string, string>>
  readonly timeMin?: string
  readonly timeMax?: string
  /** Default 1; 0 needs no schema object. */
  readonly schemaVersion?: number
}

export class StoreFixture {
  readonly dataDir = mkdtempSync(join(tmpdir(), 'tributary-cli-'))
  #end = 0n

  get root(): string {
    return join(this.dataDir, 'store')
  }

  constructor() {
    mkdirSync(this.root)
  }

  remove(): void {
    rmSync(this.dataDir, { recursive: true, force: true })
  }

  write(key: string, bytes: Uint8Array): string {
    const path = join(this.root, key)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, bytes)
    return path
  }

  /** Writes the files and one commit; gives their keys, the commit's last. */
  async commit(...files: readonly FixtureFile[]): Promise<readonly string[]> {
    const range = { start: this.#end, end: this.#end + 10n }
    this.#end = range.end
    const committed: CommitFile[] = []
    for (const file of files) {
      const bytes = await parquetBytes(file)
      const sha256 = createHash('sha256').update(bytes).digest('hex')
      const { tenant = 'default', signal = 'logs', hour = '2026-11-21T03' } = file
      const key = dataKey({ ...ID, ...range, tenant, signal, hour, sha256 })
      this.write(key, bytes)
      committed.push({
        key,
        bytes: bytes.length,
        sha256,
        rows: file.rows,
        tenant,
        signal,
        hour,
        timeMin: file.timeMin ?? '1795230000000000000',
        timeMax: file.timeMax ?? '1795230000000000001',
      })
    }
    const rows = committed.reduce((sum, file) => sum + file.rows, 0)
    const key = commitKey(ID, range.start)
    this.write(
      key,
      serializeCommitRecord({
        formatVersion: 1,
        ...ID,
        start: String(range.start),
        end: String(range.end),
        epoch: 1,
        writer: 'test',
        schemaVersions: Object.fromEntries(
          committed.map((file, at) => {
            return [`${file.tenant}/${file.signal}`, files[at]!.schemaVersion ?? 1]
          }),
        ),
        files: committed,
        counts: { rowsIn: rows, rowsStored: rows, rowsSuppressed: 0, rowsQuarantined: 0 },
        holes: [],
        hashes: null,
        committedAt: '2026-11-21T03:10:00.000Z',
      }),
    )
    return [...committed.map((file) => file.key), key]
  }
}

async function parquetBytes({ sql, keyValues = {} }: FixtureFile): Promise<Buffer> {
  const folder = mkdtempSync(join(tmpdir(), 'tributary-parquet-'))
  const connection = await (await DuckDBInstance.create(':memory:')).connect()
  try {
    const path = join(folder, 'rows.parquet')
    const pairs = Object.entries(keyValues).map(([key, value]) => `'${key}': '${value}'`)
    const footer = pairs.length === 0 ? '' : `, KV_METADATA {${pairs.join(', ')}}`
    await connection.run(`COPY (${sql}) TO '${path}' (FORMAT parquet, COMPRESSION zstd${footer})`)
    return readFileSync(path)
  } finally {
    connection.closeSync()
    rmSync(folder, { recursive: true })
  }
}
