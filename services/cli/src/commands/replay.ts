import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { processEnvironment } from '@tributary/common/config/config'
import { choice, duration, text } from '@tributary/common/config/setting'
import { parseSettings } from '@tributary/common/config/setting-table'
import type { ConfigOf } from '@tributary/common/config/setting-table'
import { AppError } from '@tributary/common/errors'
import { SIGNAL_NAMES } from '@tributary/common/signal'

import { ExitStatus } from '../command.ts'
import type { Command } from '../command.ts'
import { readCommittedFiles } from '../query/committed-files.ts'
import { cacheSettings, localPaths } from '../query/local-files.ts'
import { FolderTarget } from '../replay/folder-target.ts'
import { HttpTarget } from '../replay/http-target.ts'
import type { OtlpTarget } from '../replay/otlp-target.ts'
import { overlaps, replayFiles } from '../replay/replay-run.ts'
import type { ReplayTally } from '../replay/replay-run.ts'
import { openStore, storeLocationSettings } from '../store-options.ts'
import type { Terminal } from '../terminal.ts'

const TIME = {
  pattern: /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2}))?$/,
  bounds: 'a time such as 2026-11-21, 2026-11-21T03:00Z or 2026-11-21T03:00:00.5+01:00',
}

const replaySettings = {
  to: text({
    default: undefined,
    pattern: /^(https?:\/\/.+|file:.+)$/,
    bounds: 'http://HOST:PORT, https://... or file:FOLDER',
    sentence: 'An OTLP/HTTP endpoint without /v1/..., or a folder for files of requests.',
  }),
  from: text({ ...TIME, default: undefined, sentence: 'Only rows of this event time on.' }),
  until: text({ ...TIME, default: undefined, sentence: 'Only rows before this event time.' }),
  tenant: text({ default: undefined, sentence: 'Only rows of this tenant; default: all.' }),
  signal: choice(['all', ...SIGNAL_NAMES], { default: 'all', sentence: 'Only this signal.' }),
  giveUpAfterMs: duration({
    default: 600_000,
    min: 0,
    max: 86_400_000,
    sentence: 'How long one request is tried again while the endpoint asks to.',
  }),
  ...cacheSettings,
}
const settings = { ...replaySettings, ...storeLocationSettings }

export const replayCommand: Command = {
  synopsis: '--to URL [flags]',
  description:
    'Turns the files back into OTLP: the items, resources and scopes that made them. Each request is\n' +
    'sent under the tenant of its rows. Exit status 1 when the endpoint rejects items.',
  sections: [
    { title: 'Replay', table: replaySettings },
    { title: 'Store', table: storeLocationSettings },
  ],
  run: runReplay,
}

async function runReplay(args: readonly string[], terminal: Terminal): Promise<number> {
  const { config } = parseSettings(settings, {
    args,
    environment: processEnvironment(),
    relations: [
      ({ to }) => (to === undefined ? 'missing --to: where the requests go' : undefined),
      ({ from, until }) =>
        from !== undefined && until !== undefined && microsOf(from) >= microsOf(until)
          ? '--from must be before --until'
          : undefined,
    ],
  })
  const range = {
    fromMicros: config.from === undefined ? undefined : microsOf(config.from),
    untilMicros: config.until === undefined ? undefined : microsOf(config.until),
  }
  const store = await openStore(config)
  try {
    const files = (await readCommittedFiles(store))
      .filter(({ tenant }) => config.tenant === undefined || tenant === config.tenant)
      .filter(({ signal }) => config.signal === 'all' || signal === config.signal)
      .filter((file) => overlaps(file, range))
    const tally = await replayFiles({
      files,
      range,
      target: targetOf(config, terminal),
      localPath: async (file) => (await localPaths(store, [file], config))[0]!,
      ...(terminal.isInteractive
        ? { onProgress: (now) => void terminal.err.write(`\r${tallyText(now)}`) }
        : {}),
    })
    if (terminal.isInteractive) terminal.err.write('\r\u001b[K')
    terminal.out.write(`${tallyText(tally)}\n`)
    return tally.rejectedItems === 0 ? ExitStatus.ok : ExitStatus.failed
  } finally {
    await store.close()
  }
}

function targetOf(config: ConfigOf<typeof settings>, { err }: Terminal): OtlpTarget {
  const to = config.to ?? ''
  if (!to.startsWith('file:')) {
    const onRetry = ({ message }: AppError): void => {
      err.write(`${to} takes nothing now, trying again: ${message}\n`)
    }
    return new HttpTarget({ url: to, giveUpAfterMs: config.giveUpAfterMs, onRetry })
  }
  return new FolderTarget(to.startsWith('file://') ? fileURLToPath(to) : resolve(to.slice(5)))
}

/** Microseconds since 1970; a date alone is its midnight in UTC. */
function microsOf(time: string): bigint {
  const [, below = ''] = /\.\d{3}(\d{1,3})/.exec(time) ?? []
  const millis = Date.parse(time.replace(/(\.\d{3})\d+/, '$1'))
  if (Number.isNaN(millis)) {
    throw new AppError('invalid_config', 'no such time', {
      details: { problems: [`there is no such time as ${time}`] },
    })
  }
  return BigInt(millis) * 1000n + BigInt(below.padEnd(3, '0'))
}

function tallyText(tally: ReplayTally): string {
  const rejected = tally.rejectedItems === 0 ? '' : `, ${tally.rejectedItems} rejected`
  return `${tally.items} items in ${tally.requests} requests from ${tally.files} files${rejected}`
}
