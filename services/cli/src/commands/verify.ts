import type { Writable } from 'node:stream'

import { processEnvironment } from '@tributary/common/config/config'
import { REDIS_RELATIONS, redisSettings } from '@tributary/common/config/redis-settings'
import { boolean, duration } from '@tributary/common/config/setting'
import { parseSettings } from '@tributary/common/config/setting-table'
import type { ConfigOf } from '@tributary/common/config/setting-table'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import { ORPHAN_GRACE_MS } from '@tributary/common/verify/orphan-sweep'
import { verifyStore } from '@tributary/common/verify/verify'
import { verifyExitStatus } from '@tributary/common/verify/verify-report'

import { ExitStatus } from '../command.ts'
import type { Command } from '../command.ts'
import { openStore, storeLocationSettings } from '../store-options.ts'
import { writeText } from '../terminal.ts'
import type { Terminal } from '../terminal.ts'
import { checkIndex } from '../verify/index-check.ts'
import type { IndexReport } from '../verify/index-check.ts'
import { indexText, verifyText } from '../verify/verify-text.ts'

const verifySettings = {
  json: boolean({ default: false, sentence: 'Write the whole report as JSON.' }),
  contents: boolean({
    default: true,
    sentence: 'Read every file and compare hashes; --no-contents checks existence and sizes only.',
  }),
  checkIndex: boolean({
    default: false,
    sentence: 'Compare the file index in Redis with the commits too.',
  }),
  repairIndex: boolean({
    default: false,
    sentence: 'Make the file index in Redis anew from the commits; a cluster may go on meanwhile.',
  }),
  graceMs: duration({
    default: ORPHAN_GRACE_MS,
    min: 0,
    max: 365 * 86_400_000,
    sentence: 'Objects that no commit names are problems when older than this.',
  }),
}

const settings = { ...verifySettings, ...storeLocationSettings, ...redisSettings }

export const verifyCommand: Command = {
  synopsis: '[flags]',
  description:
    'Walks the store alone and proves: commits follow each other without gap or overlap, every file\n' +
    'that they name exists with its size, hash and rows, counts add up, nothing lies about that no\n' +
    'commit names. Exit status 0 when all of it holds, 1 when not. With --check-index or\n' +
    '--repair-index also that the file index of a cluster says the same.',
  sections: [
    { title: 'Verify', table: verifySettings },
    { title: 'Store', table: storeLocationSettings },
    { title: 'Redis, for --check-index and --repair-index', table: redisSettings },
  ],
  run: runVerify,
}

async function runVerify(args: readonly string[], terminal: Terminal): Promise<number> {
  const { config } = parseSettings(settings, {
    args,
    environment: processEnvironment(),
    relations: REDIS_RELATIONS,
  })
  const progress = terminal.isInteractive && !config.json ? terminal.err : undefined
  const store = await openStore(config)
  try {
    const report = await verifyStore(store, {
      graceMs: config.graceMs,
      isContentRead: config.contents,
      onProgress: ({ files, ofFiles }) => {
        const end = files === ofFiles ? '\r\u001b[K' : ''
        progress?.write(`\rchecked ${files} of ${ofFiles} files${end}`)
      },
    })
    const index = await checkedIndex(store, config, progress)
    const text = config.json
      ? `${JSON.stringify(index === undefined ? report : { ...report, index }, null, 2)}\n`
      : verifyText(report) + (index === undefined ? '' : indexText(index))
    await writeText(terminal.out, text)
    const isIndexTrue = index === undefined || (index.after ?? index.before).isTrue
    return isIndexTrue ? verifyExitStatus(report) : ExitStatus.failed
  } finally {
    await store.close()
  }
}

async function checkedIndex(
  store: ObjectStore,
  config: ConfigOf<typeof settings>,
  progress: Writable | undefined,
): Promise<IndexReport | undefined> {
  if (!config.checkIndex && !config.repairIndex) return undefined
  return checkIndex(store, config, {
    isRepaired: config.repairIndex,
    onProgress: (files) => {
      progress?.write(`\rindexed ${files} files\u001b[K`)
    },
    onEnd: () => {
      progress?.write('\r\u001b[K')
    },
  })
}
