import { pino, stdTimeFunctions } from 'pino'
import type { DestinationStream, Logger } from 'pino'

import { logLevel } from './config/config.ts'
import { AppError } from './errors.ts'

export type { Logger }

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export interface LoggerOptions {
  /** The component: field `name` of every line. */
  readonly name: string
  /** Default: TRIBUTARY_LOG_LEVEL, else info. */
  readonly level?: LogLevel
  /** Default: standard output. */
  readonly destination?: DestinationStream
}

/** A logger of JSON lines: `time` in RFC 3339, `level` as a word, errors with code, details and causes. */
export function createLogger(options: LoggerOptions): Logger {
  const level = options.level ?? logLevel()
  const pinoOptions = {
    name: options.name,
    level: isLogLevel(level) ? level : 'info',
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: describeError, error: describeError },
  }
  return options.destination === undefined
    ? pino(pinoOptions)
    : pino(pinoOptions, options.destination)
}

function isLogLevel(word: string): word is LogLevel {
  return (LOG_LEVELS as readonly string[]).includes(word)
}

/** Causes are followed this deep: what is deeper is a loop or noise. */
const CAUSE_DEPTH_MAX = 5

/** An error as plain JSON: bigint details become strings, causes nest. */
export function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return { message: String(error) }
  const described: Record<string, unknown> = { type: error.name, message: error.message }
  if (error instanceof AppError) {
    described['code'] = error.code
    described['details'] = plainDetails(error.details)
  } else {
    if ('code' in error) described['code'] = String(error.code)
    described['stack'] = error.stack
  }
  if (error.cause !== undefined && depth < CAUSE_DEPTH_MAX) {
    described['cause'] = describeError(error.cause, depth + 1)
  }
  return described
}

function plainDetails(details: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(details).map(([key, value]) => [
      key,
      typeof value === 'bigint' ? value.toString() : value,
    ]),
  )
}
