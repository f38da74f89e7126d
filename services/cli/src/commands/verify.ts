import { processEnvironment } from '@tributary/common/config/config'
import { boolean, duration } from '@tributary/common/config/setting'
import { parseSettings } from '@tributary/common/config/setting-table'
import { ORPHAN_GRACE_MS } from '@tributary/common/verify/orphan-sweep'
import { verifyStore } from '@tributary/common/verify/verify'
import { verifyExitStatus } from '@tributary/common/verify/verify-report'

import type { Command } from '../command.ts'
import { openStore, storeLocationSettings } from '../store-options.ts'
import { writeText } from '../terminal.ts'
import type { Terminal } from '../terminal.ts'
import { verifyText } from '../verify/verify-text.ts'

const verifySettings = {
  json: boolean({ default: false, sentence: 'Write the whole report as JSON.' }),
  contents: boolean({
    default: true,
    sentence: 'Read every file and compare hashes; --no-contents checks existence and sizes only.',
  }),
  graceMs: duration({
    default: ORPHAN_GRACE_MS,
    min: 0,
    max: 365 * 86_400_000,
    sentence: 'Objects that no commit names are problems when older than this.',
  }),
}

export const verifyCommand: Command = {
  synopsis: '[flags]',
  description:
    'Walks the store alone and proves: commits follow each other without gap or overlap, every file\n' +
    'that they name exists with its size, hash and rows, counts add up, nothing lies about that no\n' +
    'commit names. Exit status 0 when all of it holds, 1 when not.',
  sections: [
    { title: 'Verify', table: verifySettings },
    { title: 'Store', table: storeLocationSettings },
  ],
  run: runVerify,
}

async function runVerify(args: readonly string[], terminal: Terminal): Promise<number> {
  const { config } = parseSettings(
    { ...verifySettings, ...storeLocationSettings },
    { args, environment: processEnvironment() },
  )
  const store = await openStore(config)
  try {
    const report = await verifyStore(store, {
      graceMs: config.graceMs,
      isContentRead: config.contents,
      ...(terminal.isInteractive && !config.json
        ? {
            onProgress: ({ files, ofFiles }) => {
              const end = files === ofFiles ? '\r\u001b[K' : ''
              terminal.err.write(`\rchecked ${files} of ${ofFiles} files${end}`)
            },
          }
        : {}),
    })
    const text = config.json ? `${JSON.stringify(report, null, 2)}\n` : verifyText(report)
    await writeText(terminal.out, text)
    return verifyExitStatus(report)
  } finally {
    await store.close()
  }
}
