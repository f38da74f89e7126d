import { existsSync, statSync } from 'node:fs'

import { boolean } from '@tributary/common/config/setting'
import { parseSettings } from '@tributary/common/config/setting-table'
import { AppError } from '@tributary/common/errors'

import { ExitStatus } from '../command.ts'
import type { Command } from '../command.ts'
import { fileKind } from '../inspect/file-kind.ts'
import type { FileKind } from '../inspect/file-kind.ts'
import { arrowReport, envelopeReport, jsonReport, sidecarReport } from '../inspect/object-report.ts'
import { parquetReport } from '../inspect/parquet-report.ts'
import { segmentReport } from '../inspect/segment-report.ts'
import { writeText } from '../terminal.ts'
import type { Terminal } from '../terminal.ts'

const settings = {
  pages: boolean({
    default: false,
    sentence: 'Parquet: each page of each column, from the page indexes.',
  }),
}

export const inspectCommand: Command = {
  synopsis: '[flags] FILE',
  description:
    'Shows what a file holds; its kind is told by its content. Parquet: footer, key-values, schema,\n' +
    'row groups with encodings, sizes and statistics. WAL segment: header, frames, damage. Commit:\n' +
    'range, counts, files, holes. Also chunk hashes, envelopes, Arrow streams and other JSON.',
  sections: [{ title: 'Inspect', table: settings }],
  run: runInspect,
}

const REPORTS: Readonly<
  Record<Exclude<FileKind, 'unknown'>, (path: string, hasPages: boolean) => AsyncGenerator<string>>
> = {
  parquet: parquetReport,
  'wal-segment': segmentReport,
  'chunk-sidecar': sidecarReport,
  envelope: envelopeReport,
  'arrow-stream': arrowReport,
  json: jsonReport,
}

async function runInspect(args: readonly string[], terminal: Terminal): Promise<number> {
  const { config, positionals } = parseSettings(settings, { args, positionals: ['FILE'] })
  const path = positionals[0]!
  if (!existsSync(path) || !statSync(path).isFile()) {
    throw new AppError('invalid_file', 'there is no such file', { details: { path } })
  }
  const kind = await fileKind(path)
  if (kind === 'unknown') {
    throw new AppError(
      'invalid_file',
      'file is neither Parquet, WAL segment, commit, chunk hashes, envelope nor Arrow stream',
      { details: { path } },
    )
  }
  try {
    for await (const part of REPORTS[kind](path, config.pages)) await writeText(terminal.out, part)
  } catch (error) {
    if (error instanceof AppError) throw error
    throw new AppError('invalid_file', `file begins like ${kind} but cannot be read`, {
      cause: error,
      details: { path },
    })
  }
  return ExitStatus.ok
}
