import { processEnvironment } from '@tributary/common/config/config'
import { duration } from '@tributary/common/config/setting'
import { parseSettings } from '@tributary/common/config/setting-table'
import { processSettings } from '@tributary/common/config/settings'
import { tlsSettings } from '@tributary/common/config/tls-settings'
import { AppError } from '@tributary/common/errors'

import { ExitStatus } from '../command.ts'
import type { Command } from '../command.ts'
import type { Terminal } from '../terminal.ts'

const settings = {
  host: { ...processSettings.host, sentence: 'Address of the running process.' },
  adminPort: { ...processSettings.adminPort, sentence: 'Its admin port.' },
  adminTls: {
    ...tlsSettings.adminTls,
    sentence: 'Its admin port speaks TLS; NODE_EXTRA_CA_CERTS names an authority of your own.',
  },
  timeoutMs: duration({
    default: 600_000,
    min: 100,
    max: 86_400_000,
    sentence: 'How long to wait for the flush to end.',
  }),
}

/** An answer is a line or two; more is not read. */
const ANSWER_LENGTH_MAX = 2000

export const flushCommand: Command = {
  synopsis: '[flags]',
  description:
    'Makes a running process write all rows that it has acknowledged to files, and waits until they\n' +
    'are committed: a query then sees them.',
  sections: [{ title: 'Flush', table: settings }],
  run: runFlush,
}

async function runFlush(args: readonly string[], terminal: Terminal): Promise<number> {
  const { config } = parseSettings(settings, { args, environment: processEnvironment() })
  // 0.0.0.0 is where a server listens, not where a client connects to
  const host = config.host === '0.0.0.0' || config.host === '::' ? '127.0.0.1' : config.host
  const address = host.includes(':') ? `[${host}]` : host
  const scheme = config.adminTls ? 'https' : 'http'
  const url = `${scheme}://${address}:${config.adminPort}/flush`
  const answer = await post(url, config.timeoutMs)
  const text = (await answer.text()).slice(0, ANSWER_LENGTH_MAX).trim()
  if (!answer.ok) {
    throw new AppError('internal', 'the process could not flush', {
      details: { url, status: answer.status, answer: text },
    })
  }
  terminal.out.write(`${text === '' ? 'flushed' : text}\n`)
  return ExitStatus.ok
}

async function post(url: string, timeoutMs: number): Promise<Response> {
  try {
    return await fetch(url, { method: 'POST', signal: AbortSignal.timeout(timeoutMs) })
  } catch (error) {
    throw new AppError('internal', 'no answer from the process: is it running?', {
      cause: error,
      details: { url },
    })
  }
}
