import { flagName, variableName } from './setting-table.ts'
import type { SettingTable } from './setting-table.ts'
import type { Setting } from './setting.ts'
import { memberName } from './tenant-settings.ts'

/** Settings under a heading, for help and docs. */
export interface SettingSection {
  readonly title: string
  readonly table: SettingTable
}

/** Column at which the sentences of `--help` begin. */
const HELP_COLUMN = 34

/** The flags of a command as `--help` shows them: one setting per line, its default behind it. */
export function settingsHelp(sections: readonly SettingSection[]): string {
  const parts = sections.map(({ title, table }) => {
    const lines = Object.entries(table).map(([key, setting]) => helpLine(key, setting))
    return [`${title}:`, ...lines].join('\n')
  })
  return `${parts.join('\n\n')}\n`
}

function helpLine(key: string, setting: Setting<unknown>): string {
  const value = setting.kind === 'boolean' ? '' : ` <${setting.kind}>`
  const flag = `  --${flagName(key, setting)}${value}`
  const limits = setting.kind === 'choice' ? ` (${setting.bounds})` : ''
  const standard = describeDefault(setting)
  const text = `${setting.sentence}${limits}${standard === '' ? '' : ` [${standard}]`}`
  return flag.length < HELP_COLUMN - 1
    ? flag.padEnd(HELP_COLUMN) + text
    : `${flag}\n${' '.repeat(HELP_COLUMN)}${text}`
}

/** The settings as the tables of docs/configuration.md. */
export function settingsMarkdown(sections: readonly SettingSection[]): string {
  return sections.map(sectionMarkdown).join('\n')
}

/** Settings that are members of a JSON document, as a table. */
export function membersMarkdown({ title, table }: SettingSection): string {
  const rows = Object.entries(table).map(([key, setting]) =>
    tableRow([
      `\`${memberName(key, setting)}\``,
      setting.kind,
      `\`${describeDefault(setting)}\``,
      setting.bounds,
      setting.sentence,
    ]),
  )
  return [
    `## ${title}`,
    '',
    '| member | type | default | bounds | what it does |',
    '|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n')
}

function sectionMarkdown({ title, table }: SettingSection): string {
  const rows = Object.entries(table).map(([key, setting]) => {
    const cells = [
      `\`--${flagName(key, setting)}\``,
      `\`${variableName(key, setting)}\``,
      setting.kind,
      describeDefault(setting) === '' ? '' : `\`${describeDefault(setting)}\``,
      setting.bounds,
      setting.sentence,
    ]
    return tableRow(cells)
  })
  return [
    `## ${title}`,
    '',
    '| flag | variable | type | default | bounds | what it does |',
    '|---|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n')
}

function tableRow(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

function describeDefault(setting: Setting<unknown>): string {
  return setting.default === undefined ? '' : setting.format(setting.default)
}
