/** Certificates of an authority of the test's own, for servers on the loopback: made by openssl. */
import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const DAYS = '2'

/**
 * Writes `ca.crt`, `server.crt` with `server.key` (for localhost and 127.0.0.1) and `client.crt` with
 * `client.key` into the folder.
 */
export async function makeTestCertificates(folder: string): Promise<void> {
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1'
  await writeFile(join(folder, 'names.cnf'), names)
  const authority = ['-keyout', 'ca.key', '-out', 'ca.crt', '-subj', '/CN=test authority']
  openssl(folder, ['req', '-x509', '-days', DAYS, ...NEW_KEY, ...authority])
  for (const name of ['server', 'client']) {
    const request = ['-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=test ${name}`]
    openssl(folder, ['req', ...NEW_KEY, ...request])
    const signed = ['-in', `${name}.csr`, '-out', `${name}.crt`, '-extfile', 'names.cnf']
    const signer = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial']
    openssl(folder, ['x509', '-req', '-days', DAYS, ...signed, ...signer])
  }
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

function openssl(folder: string, args: readonly string[]): void {
  const run = spawnSync('openssl', args, { cwd: folder, encoding: 'utf8' })
  if (run.status === 0) return
  throw new Error(
    `no certificates for the tests: apt-get install -y openssl\n${run.error?.message ?? run.stderr}`,
  )
}
