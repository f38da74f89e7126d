/** What the tests of the log share: options on a disk in memory, known payloads, a replay as data. */
import { Buffer } from 'node:buffer'

import { systemClock, type Clock } from '@tributary/common/clock'
import type { FileSystem } from '@tributary/common/file-system'
import { createLogger } from '@tributary/common/logger'

import { Wal } from '../../src/wal/wal.ts'
import type { WalOptions } from '../../src/wal/wal.ts'

export const DIRECTORY = '/data/wal/default/0'
export const silentLogger = createLogger({ name: 'wal-test', level: 'silent' })

export function walOptions(fs: FileSystem, overrides: Partial<WalOptions> = {}): WalOptions {
  return {
    directory: DIRECTORY,
    fs,
    clock: systemClock,
    logger: silentLogger,
    sync: 'group',
    groupBytesMax: 1024 * 1024,
    segmentBytesMax: 64 * 1024 * 1024,
    diskBytesMax: 1024 * 1024 * 1024,
    segmentIdentity: { logId: 'store-1', topic: 'default', partition: 0 },
    ...overrides,
  }
}

/** A clock for which every wait is over with the turn of the event loop: marks come at any moment. */
export function hastyClock(): Clock {
  let nowMs = 0
  return {
    ...systemClock,
    monotonicMs: () => ++nowMs,
    after(_delayMs, callback) {
      const turn = setImmediate(callback)
      return {
        cancel: () => {
          clearImmediate(turn)
        },
      }
    },
  }
}

/** A payload that tells its number: no two are equal, lengths vary. */
export function payloadOf(number: number, bytes = 20 + ((number * 37) % 300)): Buffer {
  const payload = Buffer.alloc(bytes)
  payload.writeUInt32LE(number, 0)
  for (let at = 4; at < bytes; at++) payload[at] = (number * 131 + at * 7) & 0xff
  return payload
}

export interface Replay {
  readonly wal: Wal
  readonly frames: Map<bigint, Buffer>
  readonly holes: { start: bigint; end: bigint; reason: string }[]
}

/** Opens the log and keeps what it gave. Throws where an offset comes twice or out of order. */
export async function replay(options: WalOptions, startOffset = 0n): Promise<Replay> {
  const frames = new Map<bigint, Buffer>()
  const holes: Replay['holes'] = []
  let last = -1n
  const wal = await Wal.recover(options, startOffset, {
    frame(offset, payload) {
      if (offset <= last) throw new Error(`offset ${offset} after ${last}`)
      if (payload.byteOffset % 8 !== 0) throw new Error('payload is not aligned')
      last = offset
      frames.set(offset, Buffer.from(payload))
    },
    hole(start, end, reason) {
      holes.push({ start, end, reason })
    },
  })
  return { wal, frames, holes }
}
