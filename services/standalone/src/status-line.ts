/** The one live line on a terminal: what comes in, what is not in a file yet, what was written. */

export interface StatusFigures {
  /** Items acknowledged since the start. */
  readonly items: number
  readonly unflushedRows: number
  readonly files: number
}

const REFRESH_MS = 1000

export class StatusLine {
  readonly #out: NodeJS.WriteStream
  readonly #read: () => StatusFigures
  #timer: NodeJS.Timeout | undefined
  #items = 0

  constructor(out: NodeJS.WriteStream, read: () => StatusFigures) {
    this.#out = out
    this.#read = read
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.#draw()
    }, REFRESH_MS)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#out.write('\r\x1b[2K')
  }

  #draw(): void {
    const { items, unflushedRows, files } = this.#read()
    const rate = items - this.#items
    this.#items = items
    const count = (value: number): string => value.toLocaleString('en-US')
    this.#out.write(
      `\r\x1b[2K${count(rate)} items/s | ${count(items)} taken | ` +
        `${count(unflushedRows)} rows not in a file yet | ${count(files)} files`,
    )
  }
}
