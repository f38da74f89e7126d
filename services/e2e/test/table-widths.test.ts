/** What a process shows of how wide tables of tenants are, by rows that were really written. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import { StandaloneProcess } from '../src/standalone-process.ts'

interface Attribute {
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}

const text = (key: string, value: string): Attribute => ({ key, value: { stringValue: value } })

void test('metrics show distinct keys and streams of each tenant and signal', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'tributary-widths-'))
  t.after(() => rm(dataDir, { recursive: true, force: true }))
  const standalone = await StandaloneProcess.start({ dataDir })
  t.after(() => standalone.kill())
  let sent = 0

  async function send(
    tenant: string,
    service: string,
    attributes: readonly Attribute[],
  ): Promise<void> {
    const timeUnixNano = String(BigInt(Date.now()) * 1_000_000n + BigInt(++sent))
    const resource = { attributes: [text('service.name', service)] }
    const logRecords = [{ timeUnixNano, attributes }]
    const answer = await fetch(`${standalone.httpUrl}/v1/logs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-tributary-tenant': tenant },
      body: JSON.stringify({ resourceLogs: [{ resource, scopeLogs: [{ logRecords }] }] }),
    })
    assert.equal(answer.status, 200, await answer.text())
  }

  async function shown(name: string): Promise<Readonly<Record<string, number>>> {
    await standalone.flush()
    const page = await (await fetch(`${standalone.adminUrl}/metrics`)).text()
    const line = /^tributary_ingester_tenant_(\w+)\{tenant="(\w+)",signal="(\w+)"\} (\d+)$/gm
    return Object.fromEntries(
      [...page.matchAll(line)]
        .filter(([, metric]) => metric === name)
        .map(([, , tenant, signal, value]) => [`${tenant}/${signal}`, Number(value)]),
    )
  }

  await send('shop', 'cart', [text('a', 'x'), text('b', 'x')])
  await send('shop', 'cart', [text('c', 'x')])
  // the same key with another type is another column, and the same key
  await send('shop', 'till', [{ key: 'a', value: { intValue: '1' } }])
  await send('bank', 'vault', [])
  assert.deepEqual(await shown('keys'), { 'shop/logs': 4, 'bank/logs': 1 })
  assert.deepEqual(await shown('streams'), { 'shop/logs': 2, 'bank/logs': 1 })
  await send('shop', 'cart', [text('d', 'x')])
  assert.deepEqual(await shown('keys'), { 'shop/logs': 5, 'bank/logs': 1 })
  assert.deepEqual(await shown('streams'), { 'shop/logs': 1, 'bank/logs': 1 })
})
