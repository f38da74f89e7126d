import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, it } from 'node:test'

import { runCommandLine } from '../../src/command-line.ts'
import { MemoryTerminal } from '../memory-terminal.ts'

describe('tributary flush', () => {
  let status = 200
  let requests: string[] = []
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    response.writeHead(status).end(status === 200 ? 'flushed: 3 new files' : 'disk is full')
  })

  beforeEach(async () => {
    status = 200
    requests = []
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  })

  afterEach(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })

  async function flush(...flags: readonly string[]) {
    const { port } = server.address() as AddressInfo
    const terminal = new MemoryTerminal()
    const args = ['flush', '--admin-port', String(port), ...flags]
    return { status: await runCommandLine(args, terminal, '0'), terminal }
  }

  it('posts to the admin port and shows the answer', async () => {
    const { status: exitStatus, terminal } = await flush()
    assert.equal(exitStatus, 0)
    assert.equal(terminal.outText, 'flushed: 3 new files\n')
    assert.deepEqual(requests, ['POST /flush'])
  })

  it('reaches a process that listens on every address through loopback', async () => {
    assert.equal((await flush('--host', '0.0.0.0')).status, 0)
  })

  it('says what went wrong, with status 1', async () => {
    status = 503
    const { status: exitStatus, terminal } = await flush()
    assert.equal(exitStatus, 1)
    assert.match(terminal.errText, /could not flush .*503.*disk is full/)
  })

  it('asks whether the process is running when nobody answers', async () => {
    const terminal = new MemoryTerminal()
    const args = ['flush', '--admin-port', '1', '--timeout', '5s']
    assert.equal(await runCommandLine(args, terminal, '0'), 1)
    assert.match(terminal.errText, /no answer from the process: is it running\?/)
  })
})
