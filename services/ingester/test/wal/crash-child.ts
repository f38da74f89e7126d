/**
 * A process that appends until it is killed: `crash-child.ts FOLDER FIRST_NUMBER CHAIN_END`. It tells
 * each acknowledged row as a line `offset number`, written before it goes on.
 */
import { writeSync } from 'node:fs'

import { nodeFileSystem } from '@tributary/common/file-system'

import { Wal } from '../../src/wal/wal.ts'
import { payloadOf, walOptions } from './log-fixture.ts'

const [directory, firstNumber, chainEnd] = process.argv.slice(2)
const options = walOptions(nodeFileSystem, { directory: directory!, segmentBytesMax: 20_000 })
const wal = await Wal.recover(options, BigInt(chainEnd!), {
  frame: () => undefined,
  hole: (start, end, reason) => {
    throw new Error(`hole ${start}-${end} ${reason}`)
  },
})

let number = Number(firstNumber)
for (let round = 0; round < 40; round++) {
  const batch = Array.from({ length: 4 }, async () => {
    const own = number++
    const offset = await wal.append(payloadOf(own, 100 + (own % 5) * 400))
    writeSync(1, `${offset} ${own}\n`)
  })
  await Promise.all(batch)
  // pretends that the rows before the last ten were flushed and committed
  if (round % 8 === 7) {
    const end = wal.nextOffset - 10n
    writeSync(1, `chain ${end}\n`)
    await wal.truncate(end)
  }
}
await wal.close()
