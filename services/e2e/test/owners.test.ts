import assert from 'node:assert/strict'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { exportRequest } from '@tributary/common/testing/otlp-messages'
import { removeCheckedData } from '../src/readers/checked-store.ts'
import { StandaloneProcess } from '../src/standalone-process.ts'

async function sendOne(standalone: StandaloneProcess, second: number): Promise<number> {
  const body = exportRequest('logs').encode({
    resourceLogs: [
      {
        scopeLogs: [
          { logRecords: [{ timeUnixNano: String(1_700_000_000 + second) + '0'.repeat(9) }] },
        ],
      },
    ],
  })
  const answer = await fetch(`${standalone.httpUrl}/v1/logs`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-protobuf' },
    body: body as Uint8Array<ArrayBuffer>,
  })
  return answer.status
}

void test('a second process is kept out of a data folder, and two folders out of one chain', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'tributary-owners-'))
  t.after(() => removeCheckedData(folder))
  const flags = [`--object-store=${pathToFileURL(join(folder, 'store')).href}`]
  const dataDir = join(folder, 'a')
  const first = await StandaloneProcess.start({ dataDir, flags })
  t.after(() => first.kill())
  assert.equal(await sendOne(first, 1), 200)
  await assert.rejects(StandaloneProcess.start({ dataDir, flags }), /another process uses/)

  // another folder on the same store: whoever commits second finds the range taken and stops
  const second = await StandaloneProcess.start({ dataDir: join(folder, 'b'), flags })
  t.after(() => second.kill())
  assert.equal(await sendOne(second, 2), 200)
  await first.flush()
  await assert.rejects(second.flush())
  assert.equal(await second.exited, 1)
  // its rows are still in its log, and it says so instead of dropping them as stored
  await assert.rejects(
    StandaloneProcess.start({ dataDir: join(folder, 'b'), flags }),
    /another process has committed/,
  )

  // the first folder is lost, and a new one goes on from the chain, also when it dies before a commit
  await first.kill()
  const third = await StandaloneProcess.start({ dataDir: join(folder, 'c'), flags })
  t.after(() => third.kill())
  assert.equal(await sendOne(third, 3), 200)
  await third.kill()
  const fourth = await StandaloneProcess.start({ dataDir: join(folder, 'c'), flags })
  t.after(() => fourth.kill())
  await fourth.flush()
  assert.equal(await fourth.stop(), 0)
})
