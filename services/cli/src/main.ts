import { createRequire } from 'node:module'

import { processArguments } from '@tributary/common/config/config'

import { runCommandLine } from './command-line.ts'
import { processTerminal } from './terminal.ts'

const manifest = createRequire(import.meta.url)('../package.json') as { version: string }

// `tributary query ... | head` closes the pipe early: that is an end, not a failure
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit()
  throw error
})

process.exitCode = await runCommandLine(processArguments(), processTerminal(), manifest.version)
