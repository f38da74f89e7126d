import type { SettingSection } from '@tributary/common/config/setting-report'
import type { Terminal } from './terminal.ts'

/** Exit statuses of the tool: 1 says that the answer is no, 2 that the question was wrong. */
export const ExitStatus = { ok: 0, failed: 1, usage: 2 } as const

/** One word of the `tributary` command. */
export interface Command {
  /** Words behind the name, as help shows them: `[flags] SQL`. */
  readonly synopsis: string
  /** What it does, a few lines for `--help`. */
  readonly description: string
  readonly sections: readonly SettingSection[]
  /**
   * Runs with the words behind the command's name and gives the exit status.
   * @throws AppError invalid_config for flags that are wrong; any other error for what failed
   */
  run(args: readonly string[], terminal: Terminal): Promise<number>
}
