/**
 * Parses the command line and the environment by a table of settings. A flag beats a variable,
 * a variable beats the default; every problem is found before any is reported. The key decides the
 * names: `flushIntervalMs` is `--flush-interval` and TRIBUTARY_FLUSH_INTERVAL (durations carry their
 * unit in the value). Unknown flags are problems; unknown variables are not, because Kubernetes
 * sets TRIBUTARY_... variables of its own for services of that name.
 */
import { AppError } from '../errors.ts'
import type { Environment } from './config.ts'
import type { Setting } from './setting.ts'

export type SettingTable = Readonly<Record<string, Setting<unknown>>>

/** The parsed values of a table, by key. */
export type ConfigOf<Table extends SettingTable> = {
  readonly [Key in keyof Table]: Table[Key] extends Setting<infer Value> ? Value : never
}

/** A rule between settings: the problem in words, or undefined when it holds. */
export type Relation<Table extends SettingTable> = (config: ConfigOf<Table>) => string | undefined

export interface ParseOptions<Table extends SettingTable> {
  readonly args?: readonly string[]
  readonly environment?: Environment
  readonly relations?: readonly Relation<Table>[]
  /** Names of the words that are no flags; a name with `?` at its end may be left out. */
  readonly positionals?: readonly string[]
}

export interface Parsed<Table extends SettingTable> {
  readonly config: ConfigOf<Table>
  readonly positionals: readonly string[]
  /** `--help` or `-h` was given: nothing else was checked, config holds the defaults. */
  readonly isHelpWanted: boolean
}

/**
 * Reads all settings of a table.
 * @throws AppError invalid_config with every problem in `details.problems`
 */
export function parseSettings<Table extends SettingTable>(
  table: Table,
  options: ParseOptions<Table> = {},
): Parsed<Table> {
  const problems: string[] = []
  const values: Record<string, unknown> = {}
  for (const [key, setting] of Object.entries(table)) values[key] = setting.default
  const args = options.args ?? []
  if (isHelpWanted(args)) {
    return { config: values as ConfigOf<Table>, positionals: [], isHelpWanted: true }
  }
  readEnvironment(table, options.environment ?? {}, values, problems)
  const positionals = readArguments(table, args, values, problems)
  checkPositionals(options.positionals ?? [], positionals, problems)
  const config = values as ConfigOf<Table>
  if (problems.length === 0) {
    for (const relation of options.relations ?? []) {
      const problem = relation(config)
      if (problem !== undefined) problems.push(problem)
    }
  }
  if (problems.length > 0) {
    throw new AppError('invalid_config', 'settings not understood', { details: { problems } })
  }
  return { config, positionals, isHelpWanted: false }
}

/** The problems that parseSettings found, one per line of a report; empty for any other error. */
export function settingProblems(error: unknown): readonly string[] {
  if (!(error instanceof AppError) || error.code !== 'invalid_config') return []
  const problems = error.details['problems']
  return Array.isArray(problems) ? problems.map(String) : []
}

/** `flushIntervalMs` -> `flush-interval` for durations, `wal-segment-bytes-max` and so on else. */
export function flagName(key: string, setting: Pick<Setting<unknown>, 'kind'>): string {
  const base = setting.kind === 'duration' ? key.replace(/Ms$/, '') : key
  return base.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

export function variableName(key: string, setting: Pick<Setting<unknown>, 'kind'>): string {
  return `TRIBUTARY_${flagName(key, setting).replaceAll('-', '_').toUpperCase()}`
}

function isHelpWanted(args: readonly string[]): boolean {
  const end = args.indexOf('--')
  const flags = end === -1 ? args : args.slice(0, end)
  return flags.includes('--help') || flags.includes('-h')
}

function readEnvironment(
  table: SettingTable,
  environment: Environment,
  values: Record<string, unknown>,
  problems: string[],
): void {
  for (const [key, setting] of Object.entries(table)) {
    const name = variableName(key, setting)
    const written = environment[name]
    if (written !== undefined) assign(key, setting, name, written, values, problems)
  }
}

function readArguments(
  table: SettingTable,
  args: readonly string[],
  values: Record<string, unknown>,
  problems: string[],
): string[] {
  const keys = new Map(Object.entries(table).map(([key, setting]) => [flagName(key, setting), key]))
  const positionals: string[] = []
  const given = new Set<string>()
  for (let index = 0; index < args.length; index++) {
    const word = args[index]!
    if (word === '--') return positionals.concat(args.slice(index + 1))
    if (!word.startsWith('--')) {
      if (word.startsWith('-') && word !== '-') problems.push(`unknown flag ${word}`)
      else positionals.push(word)
      continue
    }
    const { name, isNegated, inline } = splitFlag(word, keys)
    const key = keys.get(name)
    const setting = key === undefined ? undefined : table[key]
    if (key === undefined || setting === undefined) {
      problems.push(`unknown flag --${name}${suggestion(name, [...keys.keys()])}`)
      if (inline === undefined && args[index + 1]?.startsWith('-') === false) index++
      continue
    }
    if (given.has(key)) problems.push(`--${name} is given twice`)
    given.add(key)
    if (isNegated) {
      if (inline !== undefined) problems.push(`--no-${name} takes no value`)
      values[key] = false
    } else if (inline !== undefined) {
      assign(key, setting, `--${name}`, inline, values, problems)
    } else if (setting.kind === 'boolean') {
      values[key] = true
    } else if (index + 1 < args.length) {
      assign(key, setting, `--${name}`, args[++index]!, values, problems)
    } else {
      problems.push(`--${name} needs a value`)
    }
  }
  return positionals
}

/** `--name=value` and, for booleans, `--no-name`. */
function splitFlag(
  word: string,
  keys: ReadonlyMap<string, string>,
): { name: string; isNegated: boolean; inline: string | undefined } {
  const equals = word.indexOf('=')
  const name = equals === -1 ? word.slice(2) : word.slice(2, equals)
  const inline = equals === -1 ? undefined : word.slice(equals + 1)
  const positive = name.startsWith('no-') ? name.slice(3) : undefined
  if (positive !== undefined && !keys.has(name) && keys.has(positive)) {
    return { name: positive, isNegated: true, inline }
  }
  return { name, isNegated: false, inline }
}

function assign(
  key: string,
  setting: Setting<unknown>,
  source: string,
  written: string,
  values: Record<string, unknown>,
  problems: string[],
): void {
  const result = setting.parse(written)
  if ('problem' in result) problems.push(`${source} ${result.problem}, not "${written}"`)
  else values[key] = result.value
}

function checkPositionals(
  names: readonly string[],
  positionals: readonly string[],
  problems: string[],
): void {
  const missing = names.slice(positionals.length).filter((name) => !name.endsWith('?'))
  if (missing.length > 0) problems.push(`missing ${missing.join(' ')}`)
  const extra = positionals.slice(names.length)
  if (extra.length > 0) problems.push(`unexpected ${extra.map((word) => `"${word}"`).join(' ')}`)
}

/** The known flag that differs least, when it differs little. */
function suggestion(name: string, known: readonly string[]): string {
  let best: string | undefined
  let bestDistance = 3
  for (const candidate of known) {
    const distance = editDistance(name, candidate)
    if (distance < bestDistance || (best === undefined && candidate.startsWith(name))) {
      best = candidate
      bestDistance = Math.min(distance, bestDistance)
    }
  }
  return best === undefined ? '' : `, did you mean --${best}?`
}

function editDistance(left: string, right: string): number {
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let row = 1; row <= left.length; row++) {
    const current = [row]
    for (let column = 1; column <= right.length; column++) {
      const isSame = left[row - 1] === right[column - 1]
      const replaced = previous[column - 1]! + (isSame ? 0 : 1)
      current.push(Math.min(replaced, previous[column]! + 1, current[column - 1]! + 1))
    }
    previous = current
  }
  return previous[right.length]!
}
