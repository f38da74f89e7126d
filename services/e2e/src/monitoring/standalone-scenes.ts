/** The faults of one process that alerts are for: certificates, tenants, and rows that find no room. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { TestAuthority } from '@tributary/common/testing/test-certificates'

import type { Cluster } from '../cluster/cluster.ts'
import { startAgain, type AlertScene } from './alert-scenes.ts'
import { fullOf } from './load-scenes.ts'
import { sendLoad } from './scene-load.ts'

const FAR_DAYS = 90
const ROLE = 'standalone'
const FORGOTTEN = /^tributary_ingester_forgotten_chunks_total (\d+)$/m
const ROUND_SECONDS = 10
const ROUNDS_MAX = 9

export const STANDALONE_SCENES: readonly AlertScene[] = [
  {
    fault: 'settings of tenants that nobody understands',
    alerts: ['TenantSettingsBroken'],
    begin: async (cluster) => {
      await writeFile(tenantFile(cluster), '{"format":1}')
      await startAgain(cluster, ROLE, { flags: [`--tenant-settings=${tenantFile(cluster)}`] })
      await writeFile(tenantFile(cluster), '{"format":1,')
    },
    end: (cluster) => writeFile(tenantFile(cluster), '{"format":1}'),
  },
  {
    fault: 'more tenants than there is place for',
    alerts: ['TenantsRefused'],
    begin: (cluster) => startAgain(cluster, ROLE, { flags: ['--tenants-max=2'] }),
    end: (cluster) => startAgain(cluster, ROLE, {}),
  },
  {
    fault: 'requests that are held for seconds, and little room for them',
    alerts: ['RequestsFillMemory'],
    begin: async (cluster) => {
      await startAgain(cluster, ROLE, {
        flags: ['--request-bytes-max=512KiB', '--inflight-bytes-max=1MiB'],
        failpoints: 'ingest:durable=sleep(4000)@1+',
      })
      await sendLoad(cluster, {
        ...{ records: 100, requests: 200 },
        ...{ rate: 20, inFlight: 190, seconds: 2 * ROUND_SECONDS },
      })
    },
    end: (cluster) => startAgain(cluster, ROLE, {}),
  },
  {
    fault: 'many large requests that are held for seconds',
    alerts: ['MemoryGrows'],
    begin: async (cluster) => {
      const failpoints = 'ingest:durable=sleep(4000)@1+'
      await startAgain(cluster, ROLE, { failpoints })
      await sendLoad(cluster, {
        ...{ records: 1000, resources: 10, requests: 400 },
        ...{ inFlight: 390, seconds: 4 * ROUND_SECONDS },
      })
    },
    end: (cluster) => startAgain(cluster, ROLE, {}),
  },
  {
    fault: 'more chunks within the window of retries than it holds',
    alerts: ['RepeatsForgotten'],
    begin: fillRepeatWindow,
    end: (cluster) => startAgain(cluster, ROLE, { flags: ['--retry-window=10s'] }),
  },
  {
    fault: 'the store refuses all, and little memory',
    alerts: ['MemtableFull'],
    ...fullOf(ROLE, ['--memtable-bytes-max=8MiB']),
  },
  {
    fault: 'the store refuses all, and a small log',
    alerts: ['LogFull'],
    ...fullOf(ROLE, ['--wal-bytes-max=24MiB', '--memtable-bytes-max=128MiB']),
  },
  {
    fault: 'a certificate that ends soon, and broken files in its place',
    alerts: ['CertificateExpires', 'CertificateBroken'],
    begin: async (cluster) => {
      await new TestAuthority(cluster.folder, 'ca').issue('server')
      const [certificate, key] = ['crt', 'key'].map((end) => join(cluster.folder, `server.${end}`))
      const flags = [`--tls-cert-file=${certificate!}`, `--tls-key-file=${key!}`]
      await startAgain(cluster, ROLE, { flags })
      await writeFile(certificate!, 'no certificate')
    },
    end: (cluster) => new TestAuthority(cluster.folder, 'ca').issue('server', { days: FAR_DAYS }),
  },
]

/** A million chunks: each record of a request is one, under a resource of its own. */
async function fillRepeatWindow(cluster: Cluster): Promise<void> {
  const room = ['--flush-bytes=16MiB', '--memtable-bytes-max=128MiB', '--wal-bytes-max=100MiB']
  await startAgain(cluster, ROLE, { flags: room })
  const [standalone] = cluster.ofRole(ROLE)
  for (let round = 0; round < ROUNDS_MAX; round++) {
    await sendLoad(cluster, {
      ...{ records: 1000, resources: 1000, requests: 40 },
      ...{ inFlight: 8, seconds: ROUND_SECONDS },
    })
    const metrics = await (await fetch(`${standalone!.current!.adminUrl}/metrics`)).text()
    if (Number(FORGOTTEN.exec(metrics)?.[1]) > 0) return
  }
}

function tenantFile({ folder }: Cluster): string {
  return join(folder, 'tenants.json')
}
