import type { Writable } from 'node:stream'

/** Where a command writes to; tests pass their own. */
export interface Terminal {
  readonly out: Writable
  readonly err: Writable
  /** `out` is read by a person: tables and live lines make sense. */
  readonly isInteractive: boolean
  /** Width of `out` in characters; undefined where it has none. */
  readonly columns: number | undefined
}

export function processTerminal(): Terminal {
  return {
    out: process.stdout,
    err: process.stderr,
    isInteractive: process.stdout.isTTY,
    // a pseudo-terminal without a size says 0
    columns: process.stdout.columns > 0 ? process.stdout.columns : undefined,
  }
}

/** Writes and waits where the reader is slower than we are. */
export async function writeText(stream: Writable, text: string | Uint8Array): Promise<void> {
  if (stream.write(text)) return
  await new Promise<void>((resolve, reject) => {
    const done = (error?: Error): void => {
      stream.off('drain', done)
      stream.off('error', done)
      stream.off('close', done)
      if (error === undefined) resolve()
      else reject(error)
    }
    stream.once('drain', done)
    stream.once('error', done)
    stream.once('close', done)
  })
}
