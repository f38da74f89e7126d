import { Writable } from 'node:stream'

import type { Terminal } from '../src/terminal.ts'

/** A terminal that keeps what a command writes. */
export class MemoryTerminal implements Terminal {
  readonly isInteractive: boolean
  readonly columns: number | undefined
  readonly #out: Buffer[] = []
  readonly #err: Buffer[] = []
  readonly out = collector(this.#out)
  readonly err = collector(this.#err)

  constructor(options: { isInteractive?: boolean; columns?: number } = {}) {
    this.isInteractive = options.isInteractive ?? false
    this.columns = options.columns
  }

  get outBytes(): Buffer {
    return Buffer.concat(this.#out)
  }

  get outText(): string {
    return this.outBytes.toString('utf8')
  }

  get errText(): string {
    return Buffer.concat(this.#err).toString('utf8')
  }
}

function collector(chunks: Buffer[]): Writable {
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      chunks.push(Buffer.from(chunk))
      done()
    },
  })
}
