/** A program that writes a log and a logrotate that renames it: what collectors tail on real machines. */
import { appendFile, rename } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

export interface RotatingLogOptions {
  readonly path: string
  readonly lines: number
  /** Lines of a file before it is renamed to `<path>.<number>`. */
  readonly rotateEvery: number
  /** Lines written at once, and the pause between two such writes. */
  readonly burst: number
  readonly pauseMs: number
}

/** Writes all lines, every fourth burst in two halves, as buffered writers do; returns them. */
export async function writeRotatingLog(options: RotatingLogOptions): Promise<string[]> {
  const { path, rotateEvery, burst } = options
  const lines = Array.from({ length: options.lines }, (_, index) => lineOf(index))
  for (let from = 0, writes = 0; from < lines.length; from += burst, writes++) {
    const text = lines.slice(from, from + burst).map((line) => `${line}\n`)
    const bytes = Buffer.from(text.join(''))
    // anywhere, within a character too
    const cut = writes % 4 === 0 ? Math.floor(bytes.length / 2) : bytes.length
    await appendFile(path, bytes.subarray(0, cut))
    await sleep(options.pauseMs)
    await appendFile(path, bytes.subarray(cut))
    const written = from + burst
    if (written % rotateEvery === 0 && written < lines.length) {
      await rename(path, `${path}.${String(written / rotateEvery)}`)
    }
  }
  return lines
}

function lineOf(index: number): string {
  const level = index % 10 === 0 ? 'ERROR' : 'INFO'
  return `2026-11-21T10:00:00Z ${level} order ${String(index)} placed, déjà vu`
}
