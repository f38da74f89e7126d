/**
 * A local copy of the files that the chains of a store name, for readers that share no code with us.
 * Files never change, so each is fetched once; whoever asks again gets what is new since.
 */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import type { CommitFile } from '@tributary/common/commit/commit-record'
import { mapOrdered } from '@tributary/common/commit/ordered-map'
import type { ObjectStore } from '@tributary/common/object-store/object-store'
import { readCommittedFiles } from '@tributary/cli/query/committed-files'

const FETCHES_MAX = 8

export interface CopiedFile extends CommitFile {
  /** Of the copy; below a folder it is the key. */
  readonly path: string
}

export class StoreCopy {
  readonly #store: ObjectStore
  readonly #folder: string

  private constructor(store: ObjectStore, folder: string) {
    this.#store = store
    this.#folder = folder
  }

  static async create(store: ObjectStore): Promise<StoreCopy> {
    return new StoreCopy(store, await mkdtemp(join(tmpdir(), 'tributary-copy-')))
  }

  /** All files that the chains name now, or some of them. */
  async refresh(isWanted: (file: CommitFile) => boolean = () => true): Promise<CopiedFile[]> {
    const files = (await readCommittedFiles(this.#store)).filter(isWanted)
    const copied: CopiedFile[] = []
    for await (const file of mapOrdered(files, FETCHES_MAX, (one) => this.#fetch(one))) {
      copied.push(file)
    }
    return copied
  }

  async remove(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #fetch(file: CommitFile): Promise<CopiedFile> {
    const path = join(this.#folder, file.key)
    if (!existsSync(path)) {
      await mkdir(dirname(path), { recursive: true })
      await this.#store.getToFile(file.key, `${path}.part`)
      await rename(`${path}.part`, path)
    }
    return { ...file, path }
  }
}
