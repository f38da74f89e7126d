/** One setting of a table: how it is written, what it may be, what it is for. */
export interface Setting<Value> {
  /** The type as help and docs name it. */
  readonly kind: string
  /** Undefined: has no value unless given. */
  readonly default: Value
  /** Bounds or choices in words, '' when there are none. */
  readonly bounds: string
  readonly sentence: string
  /** Reads the text of a flag or variable; returns a problem in words when it cannot. */
  parse(text: string): ParseResult<Value>
  /** Writes a value the way a person would type it. */
  format(value: Value): string
}

export type ParseResult<Value> = { readonly value: Value } | { readonly problem: string }

interface Described<Value> {
  readonly default: Value
  readonly sentence: string
}

interface Bounded extends Described<number> {
  readonly min: number
  readonly max: number
}

export function integer(options: Bounded): Setting<number> {
  return boundedNumber('integer', options, String, (text) =>
    /^-?\d+$/.test(text) ? Number(text) : undefined,
  )
}

/** A part of all, 0 to 1. */
export function share(options: Described<number>): Setting<number> {
  return boundedNumber('share', { ...options, min: 0, max: 1 }, String, (text) =>
    /^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined,
  )
}

/** A TCP port; 0 takes any free one. */
export function port(options: Described<number>): Setting<number> {
  return boundedNumber('port', { ...options, min: 0, max: 65_535 }, String, (text) =>
    /^\d+$/.test(text) ? Number(text) : undefined,
  )
}

const BYTE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
}

/** A count of bytes, written as `1048576`, `64MiB` or `1GB`. */
export function bytes(options: Bounded): Setting<number> {
  return boundedNumber('bytes', options, formatBytes, (text) => scaled(text, BYTE_UNITS))
}

function formatBytes(value: number): string {
  for (const unit of ['TiB', 'GiB', 'MiB', 'KiB']) {
    const scale = BYTE_UNITS[unit] ?? 1
    if (value >= scale && value % scale === 0) return `${value / scale}${unit}`
  }
  return String(value)
}

const DURATION_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** A duration in milliseconds, written as `500ms`, `60s`, `10m`, `1h`, `7d`, or `0`. */
export function duration(options: Bounded): Setting<number> {
  return boundedNumber('duration', options, formatDuration, (text) =>
    text === '0' ? 0 : scaled(text, DURATION_UNITS),
  )
}

function formatDuration(valueMs: number): string {
  if (valueMs === 0) return '0'
  for (const unit of ['d', 'h', 'm', 's']) {
    const scale = DURATION_UNITS[unit] ?? 1
    if (valueMs % scale === 0) return `${valueMs / scale}${unit}`
  }
  return `${valueMs}ms`
}

export function boolean(options: Described<boolean>): Setting<boolean> {
  return {
    ...options,
    kind: 'boolean',
    bounds: '',
    parse: (text) => {
      if (text === 'true' || text === '1') return { value: true }
      if (text === 'false' || text === '0') return { value: false }
      return { problem: 'must be true or false' }
    },
    format: String,
  }
}

export function choice<const Choice extends string>(
  choices: readonly Choice[],
  options: Described<NoInfer<Choice>>,
): Setting<Choice> {
  const bounds = choices.join(', ')
  return {
    ...options,
    kind: 'choice',
    bounds,
    parse: (text) => {
      const value = choices.find((known) => known === text)
      return value === undefined ? { problem: `must be one of ${bounds}` } : { value }
    },
    format: String,
  }
}

interface TextOptions<Value> extends Described<Value> {
  /** What the text must match, and how to say that in words. */
  readonly pattern?: RegExp
  readonly bounds?: string
}

export function text<Value extends string | undefined>(
  options: TextOptions<Value>,
): Setting<Value | string> {
  return {
    kind: 'text',
    default: options.default,
    sentence: options.sentence,
    bounds: options.bounds ?? '',
    parse: (written) =>
      written === '' || options.pattern?.test(written) === false
        ? { problem: `must be ${options.bounds ?? 'a text that is not empty'}` }
        : { value: written },
    format: (value) => value ?? '',
  }
}

interface UrlOptions<Value> extends Described<Value> {
  /** Allowed schemes without the colon. */
  readonly schemes: readonly string[]
}

export function url<Value extends string | undefined>(
  options: UrlOptions<Value>,
): Setting<Value | string> {
  const bounds = options.schemes.map((scheme) => `${scheme}://`).join(' or ')
  return {
    kind: 'url',
    default: options.default,
    sentence: options.sentence,
    bounds,
    parse: (written) => {
      const scheme = URL.canParse(written) ? new URL(written).protocol.slice(0, -1) : undefined
      return scheme !== undefined &&
        options.schemes.includes(scheme) &&
        written.startsWith(`${scheme}://`)
        ? { value: written }
        : { problem: `must be a URL that starts with ${bounds}` }
    },
    format: (value) => value ?? '',
  }
}

function boundedNumber(
  kind: string,
  options: Bounded,
  format: (value: number) => string,
  read: (text: string) => number | undefined,
): Setting<number> {
  const bounds = `${format(options.min)} to ${format(options.max)}`
  return {
    kind,
    default: options.default,
    sentence: options.sentence,
    bounds,
    parse: (written) => {
      const value = read(written)
      if (value === undefined) return { problem: `must be ${EXAMPLES[kind] ?? kind}` }
      if (value < options.min || value > options.max) return { problem: `must be ${bounds}` }
      return { value }
    },
    format,
  }
}

const EXAMPLES: Readonly<Record<string, string>> = {
  integer: 'an integer',
  share: 'a number such as 0.01',
  port: 'a port number',
  bytes: 'a size such as 1048576, 64MiB or 1GB',
  duration: 'a duration such as 500ms, 60s, 10m, 1h or 7d',
}

function scaled(written: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([A-Za-z]*)$/.exec(written)
  const scale = units[match?.[2] ?? '?']
  if (match === null || scale === undefined) return undefined
  const value = Number(match[1]) * scale
  return Number.isSafeInteger(value) ? value : undefined
}
