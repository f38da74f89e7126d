/**
 * Random damage to a log of several segments: whatever comes out is what went in, at its offset; no
 * damage ends the process or makes it refuse to open. FUZZ_SEED replays, FUZZ_SECONDS lengthens.
 */
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'

import { FaultFileSystem } from '@tributary/common/testing/fault-file-system'
import { randomSource } from '@tributary/common/testing/seeded-random'

import { DIRECTORY, hastyClock, payloadOf, replay, walOptions } from './log-fixture.ts'

const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000_007)
const seconds = Number(process.env['FUZZ_SECONDS'] ?? 2)
const ROWS = 60

/** Rows with other logs' and own frames in them: what a resynchronizing reader must not fall for. */
function rowOf(number: number, known: readonly Uint8Array[]): Buffer {
  const inner = known[number % Math.max(1, known.length)]
  return number % 7 === 3 && inner !== undefined
    ? Buffer.concat([payloadOf(number, 16), inner.subarray(0, 2000)])
    : payloadOf(number)
}

async function makeLog(
  random: () => number,
): Promise<{ files: Map<string, Buffer>; rows: Buffer[] }> {
  const fs = new FaultFileSystem()
  const marks = random() < 0.5 ? { clock: hastyClock(), markIdleMs: 1 } : {}
  const { wal } = await replay(
    walOptions(fs, { segmentBytesMax: 4000 + Math.floor(random() * 20_000), ...marks }),
  )
  const rows: Buffer[] = []
  while (rows.length < ROWS) {
    const group = Array.from({ length: 1 + Math.floor(random() * 5) }, (_, index) =>
      rowOf(
        rows.length + index,
        fs.paths().map((path) => fs.contentOf(path)),
      ),
    )
    rows.push(...group)
    await Promise.all(group.map((row) => wal.append(row)))
  }
  if (random() < 0.5) await wal.close()
  const files = new Map(fs.paths().map((path) => [path, Buffer.from(fs.contentOf(path))]))
  return { files, rows }
}

type Mutation = (file: Buffer, below: (bound: number) => number, other: Buffer) => Buffer

const MUTATIONS: readonly Mutation[] = [
  (file, below) => {
    for (let count = 1 + below(8); count > 0; count--) file[below(file.length)]! ^= 1 << below(8)
    return file
  },
  (file, below) => file.subarray(0, below(file.length)),
  (file, below) => {
    const at = below(file.length)
    return Buffer.concat([
      file.subarray(0, at),
      Buffer.alloc(1 + below(64), below(256)),
      file.subarray(at),
    ])
  },
  (file, below) => {
    const at = below(file.length)
    return Buffer.concat([file.subarray(0, at), file.subarray(at + 1 + below(200))])
  },
  (file, below) => file.fill(below(2) * below(256), below(file.length), below(file.length)),
  (file, below, other) => {
    other.copy(file, 8 * below(file.length / 8), 8 * below(other.length / 8))
    return file
  },
  (file, below) => {
    file.copy(file, 8 * below(file.length / 8), 8 * below(file.length / 8), file.length)
    return file
  },
  (_file, below) => Buffer.from(Array.from({ length: below(3000) }, () => below(256))),
  (_file, _below, other) => other,
]

test(`a damaged log gives only what was put in (FUZZ_SEED=${seed})`, async () => {
  const random = randomSource(seed)
  const below = (bound: number) => Math.floor(random() * Math.max(1, bound))
  const endMs = Date.now() + seconds * 1000
  while (Date.now() < endMs) {
    const { files, rows } = await makeLog(random)
    const paths = [...files.keys()]
    for (let round = 0; round < 25; round++) {
      const fs = new FaultFileSystem()
      const damaged = new Set(
        Array.from({ length: 1 + below(2) }, () => paths[below(paths.length)]!),
      )
      for (const [path, bytes] of files) {
        const mutate = MUTATIONS[below(MUTATIONS.length)]!
        const other = Buffer.from(files.get(paths[below(paths.length)]!)!)
        fs.place(path, damaged.has(path) ? mutate(Buffer.from(bytes), below, other) : bytes)
      }
      if (random() < 0.2) fs.place(`${DIRECTORY}/x.wal`, Buffer.from('not a segment'))
      await checkRecovery(fs, rows)
    }
  }
})

async function checkRecovery(fs: FaultFileSystem, rows: readonly Buffer[]): Promise<void> {
  const { wal, frames, holes } = await replay(walOptions(fs))
  let covered = 0n
  for (const [offset, payload] of frames) {
    assert.deepEqual(payload, rows[Number(offset)])
    covered++
  }
  for (const { start, end } of holes) {
    for (let offset = start; offset < end; offset++) assert.ok(!frames.has(offset))
    covered += end - start
  }
  assert.equal(wal.nextOffset, covered, 'frames and holes tile the log')
  assert.ok(wal.nextOffset <= BigInt(rows.length))
}
