/** Certificates of authorities of the test's own, for servers on the loopback: made by openssl. */
import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const DAYS = 2
const LOOPBACK = ['DNS:localhost', 'IP:127.0.0.1']

/**
 * Writes `ca.crt`, `server.crt` with `server.key` (for localhost and 127.0.0.1) and `client.crt` with
 * `client.key` into the folder.
 */
export async function makeTestCertificates(folder: string): Promise<void> {
  const authority = new TestAuthority(folder, 'ca')
  await authority.issue('server')
  await authority.issue('client')
}

export interface TestCertificate {
  /** Default `test <name>`; undefined leaves it out. */
  readonly commonName?: string | undefined
  /** Subject alternative names, `URI:...`; default those of the loopback. */
  readonly names?: readonly string[]
  /** Default 2; a negative one makes a certificate that is over. */
  readonly days?: number
}

/** Issues certificates: `<name>.crt` and `<name>.key` in its folder, where its own are too. */
export class TestAuthority {
  readonly #folder: string
  readonly #name: string

  constructor(folder: string, name: string) {
    this.#folder = folder
    this.#name = name
    const own = ['-keyout', `${name}.key`, '-out', `${name}.crt`, '-subj', `/CN=test ${name}`]
    openssl(folder, ['req', '-x509', '-days', String(DAYS), ...NEW_KEY, ...own])
  }

  async issue(name: string, certificate: TestCertificate = {}): Promise<void> {
    const { names = LOOPBACK, days = DAYS } = certificate
    const commonName = 'commonName' in certificate ? certificate.commonName : `test ${name}`
    const subject = commonName === undefined ? '/O=test' : `/CN=${commonName}`
    // a section of their own: there a comma is part of a name
    const lines = names.map((text, index) => {
      const end = text.indexOf(':')
      return `${text.slice(0, end)}.${index}=${text.slice(end + 1)}`
    })
    const extensions = ['subjectAltName=@names', '[names]', ...lines].join('\n')
    await writeFile(join(this.#folder, `${name}.cnf`), extensions)
    const request = ['-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', subject]
    openssl(this.#folder, ['req', ...NEW_KEY, ...request])
    const signed = ['-in', `${name}.csr`, '-out', `${name}.crt`, '-extfile', `${name}.cnf`]
    const signer = ['-CA', `${this.#name}.crt`, '-CAkey', `${this.#name}.key`, '-CAcreateserial']
    openssl(this.#folder, ['x509', '-req', '-days', String(days), ...signed, ...signer])
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
