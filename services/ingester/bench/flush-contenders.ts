/**
 * What flush.bench.ts measures, each contender in a process of its own: our decode and flush for
 * several data sets, our flush alone, and the routes that JavaScript has to a Parquet file.
 */
import { RivalRows } from '@tributary/common/bench/rival-rows'
import {
  arrowStream,
  encodeHyparquet,
  encodeParquetjs,
  encodeRust,
} from '@tributary/common/bench/rival-writers'
import type { SignalName } from '@tributary/common/signal'
import type { PayloadOptions } from '@tributary/common/testing/payloads'

import { bodiesOf, FLUSH_SETTINGS, FlushRig } from './flush-rig.ts'

export interface Prepared {
  /** One run; `keep` asks for the files. */
  run(keep: boolean): Promise<Uint8Array[]>
  readonly records: number
  readonly otlpBytes: number
  /** Bytes of the batches that a flush reads; 0 for rivals. */
  readonly batchBytes: number
  close(): void
}

export interface Contender {
  readonly name: string
  readonly rival?: string
  readonly isRival: boolean
  prepare(records: number): Promise<Prepared>
}

const STANDARD: PayloadOptions = { records: 1000, resources: 10 }

/** Payloads of more than `records` items are not asked for. */
function shareOf(records: number, bytesPerRecord: number): number {
  return Math.max(100, Math.round((records * 300) / Math.max(300, bytesPerRecord)))
}

const DATA_SETS: Readonly<Record<string, PayloadOptions>> = {
  'one stream': { records: 1000 },
  '10,000 streams': { records: 1000, resources: 100, resourcesInAll: 10_000 },
  'low cardinality': { ...STANDARD, cardinality: 20 },
  '200 sparse keys': { ...STANDARD, sparseKeys: 200 },
  '10-record requests': { records: 10 },
  '1 KB records': { records: 200, resources: 10, bodyBytesMin: 1000 },
  '10 KB records': { records: 20, resources: 5, bodyBytesMin: 10_000 },
  '100 KB records': { records: 2, resources: 2, bodyBytesMin: 100_000 },
}

function ours(
  name: string,
  signal: SignalName,
  options: PayloadOptions,
  form: { withDecode: boolean; zstdLevel?: number; rival?: string },
): Contender {
  return {
    name,
    isRival: false,
    ...(form.rival === undefined ? {} : { rival: form.rival }),
    async prepare(records) {
      const rig = await FlushRig.open(signal)
      const wanted = shareOf(records, options.bodyBytesMin ?? 0)
      const bodies = bodiesOf(signal, wanted, options)
      const entries = rig.decode(bodies)
      const settings = { ...FLUSH_SETTINGS, zstdLevel: form.zstdLevel ?? 1 }
      const expected = bodies.length * options.records
      return {
        async run(keep) {
          const input = form.withDecode ? rig.decode(bodies) : entries
          const { rows, files } = await rig.flush(rig.jobOf(input, settings), keep)
          if (rows !== expected) throw new Error(`${name}: ${rows} rows of ${expected}`)
          return files
        },
        records: expected,
        otlpBytes: bytesOf(bodies),
        batchBytes: bytesOf(entries.map(({ bytes }) => bytes)),
        close: () => {
          rig.close()
        },
      }
    },
  }
}

function bytesOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0)
}

type Encode = (rows: RivalRows) => Promise<Uint8Array> | Uint8Array

/** With its decode to objects, or the encode alone of rows that are ready. */
function rival(name: string, signal: SignalName, encode: Encode, withDecode: boolean): Contender {
  return {
    name,
    isRival: true,
    async prepare(records) {
      const bodies = bodiesOf(signal, records, STANDARD)
      const decode = (): RivalRows => {
        const rows = new RivalRows()
        for (const body of bodies) rows.addRequest(signal, body)
        return rows
      }
      const ready = decode()
      return {
        run: async () => [await encode(withDecode ? decode() : ready)],
        records: ready.rowCount,
        otlpBytes: bytesOf(bodies),
        batchBytes: 0,
        close: () => undefined,
      }
    },
  }
}

const encodeWasm: Encode = (rows) => encodeRust(arrowStream(rows.finish()), rows.rowCount)

function standardContenders(signal: SignalName): Contender[] {
  const route = `${signal}: protobufjs + parquet-wasm, zstd`
  const hyparquet = `${signal}: hyparquet-writer, encode alone, zstd`
  return [
    ours(`${signal}: decode + flush`, signal, STANDARD, { withDecode: true, rival: route }),
    ours(`${signal}: flush alone`, signal, STANDARD, { withDecode: false, rival: hyparquet }),
    rival(route, signal, encodeWasm, true),
    rival(
      hyparquet,
      signal,
      (rows) => encodeHyparquet(rows.finish(), rows.rowCount, 'zstd'),
      false,
    ),
    rival(
      `${signal}: @dsnp/parquetjs, encode alone, snappy`,
      signal,
      (rows) => encodeParquetjs(rows.finish(), rows.rowCount),
      false,
    ),
  ]
}

/** In the order of the table; a contender's index names it to its process. */
export const CONTENDERS: readonly Contender[] = [
  ...(['logs', 'spans', 'metrics'] as const).flatMap(standardContenders),
  ...Object.entries(DATA_SETS).map(([name, options]) =>
    ours(`logs, ${name}: decode + flush`, 'logs', options, { withDecode: true }),
  ),
  ours(
    'metrics, 100 sparse keys: decode + flush',
    'metrics',
    { ...STANDARD, sparseKeys: 100 },
    {
      withDecode: true,
    },
  ),
  ours(
    'metrics, one-point requests: decode + flush',
    'metrics',
    { records: 1 },
    {
      withDecode: true,
    },
  ),
  ...[3, 6].map((zstdLevel) =>
    ours(`logs, zstd level ${zstdLevel}: flush alone`, 'logs', STANDARD, {
      withDecode: false,
      zstdLevel,
      rival: 'logs: flush alone',
    }),
  ),
]
