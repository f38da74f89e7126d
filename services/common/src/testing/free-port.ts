/**
 * Ports for servers that tests stop and start again. They lie below the range from which systems
 * take the ports of outgoing connections (Linux 32768, macOS 49152): a port that a stopped server
 * left must still be free when it comes back, and a client that tries it meanwhile must not happen
 * to connect to itself, which TCP allows.
 *
 * A port is asked for long before its server listens, by a cluster for all of its members at once and by
 * several test processes side by side. So each is also claimed, by a file that names the process, until
 * that process ends.
 */
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const PORT_MIN = 20_000
const PORT_END = 32_768
const TRIES_MAX = 100
const CLAIMS_FOLDER = join(tmpdir(), 'tributary-test-ports')

const claimed = new Set<number>()

/** A port of the loopback that nobody listens on now, and that nobody else will take. */
export async function freePort(): Promise<number> {
  let failure: unknown = new Error(`no port from ${PORT_MIN} to ${PORT_END} is free`)
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const port = randomInt(PORT_MIN, PORT_END)
    if (!claim(port)) continue
    const server = createServer()
    try {
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
      server.close()
      await once(server, 'close')
      return port
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

/** False where this process or another one that lives has asked for it. */
function claim(port: number): boolean {
  if (claimed.has(port)) return false
  if (claimed.size === 0) process.once('exit', giveUpClaims)
  mkdirSync(CLAIMS_FOLDER, { recursive: true })
  const path = claimPath(port)
  if (hasLivingOwner(path)) return false
  rmSync(path, { force: true })
  try {
    writeFileSync(path, String(process.pid), { flag: 'wx' })
  } catch {
    // another process was quicker
    return false
  }
  claimed.add(port)
  return true
}

function hasLivingOwner(path: string): boolean {
  try {
    process.kill(Number(readFileSync(path, 'utf8')), 0)
    return true
  } catch {
    // no claim, or its process ended without giving it up
    return false
  }
}

function giveUpClaims(): void {
  for (const port of claimed) rmSync(claimPath(port), { force: true })
}

function claimPath(port: number): string {
  return join(CLAIMS_FOLDER, String(port))
}
