import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import type { OtlpRequest, OtlpTarget } from './otlp-target.ts'

const NUMBER_DIGITS = 8

/**
 * Writes export requests as files `<tenant>-<signal>-<number>.binpb`, for other tools to read. Files
 * of an earlier replay into the same folder are an error, not overwritten.
 */
export class FolderTarget implements OtlpTarget {
  readonly #folder: string
  #count = 0

  constructor(folder: string) {
    this.#folder = folder
  }

  async send(request: OtlpRequest): Promise<number> {
    if (this.#count === 0) await mkdir(this.#folder, { recursive: true })
    const number = String(this.#count++).padStart(NUMBER_DIGITS, '0')
    const name = `${request.tenant}-${request.signal}-${number}.binpb`
    await writeFile(join(this.#folder, name), request.body, { flag: 'wx' })
    return 0
  }
}
