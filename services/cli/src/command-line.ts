/**
 * Finds the command, shows help, and turns what a command throws into a message and an exit status:
 * 0 done, 1 failed, 2 not understood. Commands are loaded when asked for: `flush` must not pay for
 * DuckDB.
 */
import { settingsHelp } from '@tributary/common/config/setting-report'
import { settingProblems } from '@tributary/common/config/setting-table'
import { AppError } from '@tributary/common/errors'

import { ExitStatus } from './command.ts'
import type { Command } from './command.ts'
import type { Terminal } from './terminal.ts'

interface CommandEntry {
  readonly summary: string
  load(): Promise<Command>
}

const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  standalone: {
    summary: 'take OTLP and write Parquet, in one process',
    load: async () => (await import('./commands/standalone.ts')).standaloneCommand,
  },
  up: {
    summary: 'run a cluster for development on this machine',
    load: async () => (await import('./commands/up.ts')).upCommand,
  },
  router: {
    summary: 'take OTLP and produce it to Kafka: a role of the cluster',
    load: async () => (await import('./commands/router.ts')).routerCommand,
  },
  ingester: {
    summary: 'take telemetry from Kafka and write Parquet, as one of a cluster',
    load: async () => (await import('./commands/ingester.ts')).ingesterCommand,
  },
  controller: {
    summary: 'scale ingesters on Kubernetes and make scaling in and node drains safe',
    load: async () => (await import('./commands/controller.ts')).controllerCommand,
  },
  topic: {
    summary: 'make the topic of Kafka between routers and ingesters',
    load: async () => (await import('./commands/topic.ts')).topicCommand,
  },
  doctor: {
    summary: 'look whether Kafka, Redis, the store, disk and clock are fit',
    load: async () => (await import('./commands/doctor.ts')).doctorCommand,
  },
  partitions: {
    summary: 'show who owns what in a cluster, and how far it is',
    load: async () => (await import('./commands/partitions.ts')).partitionsCommand,
  },
  drain: {
    summary: 'make an ingester give its partitions away',
    load: async () => (await import('./commands/drain.ts')).drainCommand,
  },
  quarantine: {
    summary: 'list what could not be stored, and send it again after a fix',
    load: async () => (await import('./commands/quarantine.ts')).quarantineCommand,
  },
  query: {
    summary: 'ask the files with SQL: views logs, spans and metrics',
    load: async () => (await import('./commands/query.ts')).queryCommand,
  },
  inspect: {
    summary: 'show what a Parquet file, WAL segment, commit or sidecar holds',
    load: async () => (await import('./commands/inspect.ts')).inspectCommand,
  },
  verify: {
    summary: 'prove that the store holds what its commits say, once',
    load: async () => (await import('./commands/verify.ts')).verifyCommand,
  },
  replay: {
    summary: 'turn the files back into OTLP and send it',
    load: async () => (await import('./commands/replay.ts')).replayCommand,
  },
  flush: {
    summary: 'make a running process write its rows to files now',
    load: async () => (await import('./commands/flush.ts')).flushCommand,
  },
  tenants: {
    summary: 'check settings of tenants, and put them into redis',
    load: async () => (await import('./commands/tenants.ts')).tenantsCommand,
  },
  keys: {
    summary: 'make, list, revoke and replace API keys',
    load: async () => (await import('./commands/keys.ts')).keysCommand,
  },
  roundtrip: {
    summary: 'send marked items and find each in the files, once',
    load: async () => (await import('./commands/roundtrip.ts')).roundtripCommand,
  },
  conformance: {
    summary: 'check any OTLP endpoint against the status contract',
    load: async () => (await import('./commands/conformance.ts')).conformanceCommand,
  },
}

/** Runs `tributary <args>` and gives its exit status; never throws for what a user did. */
export async function runCommandLine(
  args: readonly string[],
  terminal: Terminal,
  version: string,
): Promise<number> {
  const [name, ...rest] = args
  if (name === undefined) {
    terminal.err.write(overview())
    return ExitStatus.usage
  }
  if (name === '--help' || name === '-h' || name === 'help') return runHelp(rest, terminal)
  if (name === '--version' || name === 'version') {
    terminal.out.write(`tributary ${version}\n`)
    return ExitStatus.ok
  }
  const entry = findCommand(name)
  if (entry === undefined) return unknownCommand(name, terminal)
  const command = await entry.load()
  if (isHelpWanted(rest)) {
    terminal.out.write(commandHelp(name, command))
    return ExitStatus.ok
  }
  try {
    return await command.run(rest, terminal)
  } catch (error) {
    return reportFailure(name, error, terminal)
  }
}

async function runHelp(rest: readonly string[], terminal: Terminal): Promise<number> {
  const [name] = rest
  if (name === undefined) {
    terminal.out.write(overview())
    return ExitStatus.ok
  }
  const entry = findCommand(name)
  if (entry === undefined) return unknownCommand(name, terminal)
  terminal.out.write(commandHelp(name, await entry.load()))
  return ExitStatus.ok
}

function findCommand(name: string): CommandEntry | undefined {
  return Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
}

function unknownCommand(name: string, terminal: Terminal): number {
  terminal.err.write(`tributary: unknown command "${name}"\n\n${overview()}`)
  return ExitStatus.usage
}

function isHelpWanted(args: readonly string[]): boolean {
  const end = args.indexOf('--')
  const flags = end === -1 ? args : args.slice(0, end)
  return flags.includes('--help') || flags.includes('-h')
}

function overview(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length)) + 2
  const lines = Object.entries(COMMANDS).map(
    ([name, { summary }]) => `  ${name.padEnd(width)}${summary}`,
  )
  return [
    'Tributary: OTLP in, open Parquet out.',
    '',
    'Usage: tributary <command> [flags]',
    '',
    ...lines,
    '',
    'tributary <command> --help shows the flags of a command.',
    '',
  ].join('\n')
}

function commandHelp(name: string, command: Command): string {
  const head = `Usage: tributary ${name} ${command.synopsis}\n\n${command.description}\n`
  return command.sections.length === 0 ? head : `${head}\n${settingsHelp(command.sections)}`
}

function reportFailure(name: string, error: unknown, terminal: Terminal): number {
  const problems = settingProblems(error)
  if (problems.length > 0) {
    for (const problem of problems) terminal.err.write(`tributary ${name}: ${problem}\n`)
    terminal.err.write(`tributary ${name} --help shows the flags\n`)
    return ExitStatus.usage
  }
  terminal.err.write(`tributary ${name}: ${describeFailure(error)}\n`)
  return ExitStatus.failed
}

/** Causes are followed this deep. */
const CAUSE_DEPTH_MAX = 4

/** One line: the message, the values it speaks of, the causes; a stack only for a bug of ours. */
function describeFailure(error: unknown, depth = 0): string {
  if (!(error instanceof Error)) return String(error)
  const isExpected = error instanceof AppError || 'syscall' in error
  const text = isExpected || depth > 0 ? error.message : (error.stack ?? error.message)
  const details =
    error instanceof AppError
      ? Object.entries(error.details).map(([key, value]) => `${key} ${describeValue(value)}`)
      : []
  const values = details.length === 0 ? '' : ` (${details.join(', ')})`
  const cause =
    error.cause === undefined || depth >= CAUSE_DEPTH_MAX
      ? ''
      : `: ${describeFailure(error.cause, depth + 1)}`
  return text + values + cause
}

function describeValue(value: unknown): string {
  if (typeof value === 'string' || typeof value === 'number') return String(value)
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'bigint' ? inner.toString() : inner,
  )
}
