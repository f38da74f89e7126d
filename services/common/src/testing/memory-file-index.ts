/** The file index in memory, as RedisFileIndex does it, with the faults of the way to it. */
import type { ApplyOutcome, FileIndex, FileSelection, IndexBuild } from '../catalogue/file-index.ts'
import type { IndexPage, IndexSpan, IndexState, IndexedChain } from '../catalogue/file-index.ts'
import type { CommitFile } from '../commit/commit-record.ts'
import type { CallLine, FaultyCalls } from './faulty-calls.ts'
import { hourMember, isMemberSelected } from '../catalogue/index-entry.ts'
import { partitionPath } from '../paths.ts'

interface Generation {
  readonly name: string
  readonly chains: Map<string, IndexedChain>
  /** By member and key. */
  readonly hours: Map<string, Map<string, CommitFile>>
}

/** What all processes share; its parts may be changed by a test behind everybody's back. */
export class MemoryIndexState {
  current: Generation | undefined
  building: Generation | undefined
  #count = 0

  open(): Generation {
    this.current ??= this.begin()
    return this.current
  }

  begin(): Generation {
    const name = (++this.#count).toString(16).padStart(16, '0')
    return { name, chains: new Map(), hours: new Map() }
  }

  named(name: string): Generation | undefined {
    return [this.current, this.building].find((one) => one?.name === name)
  }

  flushAll(): void {
    this.current = undefined
    this.building = undefined
  }
}

export class MemoryFileIndex implements FileIndex {
  /** `isCut` makes this process alone unable to reach the store. */
  readonly line: CallLine
  readonly #state: MemoryIndexState

  constructor(state: MemoryIndexState, calls: FaultyCalls) {
    this.#state = state
    this.line = calls.line()
  }

  apply(span: IndexSpan): Promise<ApplyOutcome> {
    return this.line.call(() => applyTo(this.#state.open(), span))
  }

  applyAll(spans: readonly IndexSpan[]): Promise<readonly ApplyOutcome[]> {
    return this.line.call(() => spans.map((span) => applyTo(this.#state.open(), span)))
  }

  state(): Promise<IndexState> {
    return this.line.call(() => {
      const { name, chains } = this.#state.open()
      return { generation: name, chains: new Map(chains) }
    })
  }

  async *scan(generation: string, selection: FileSelection): AsyncGenerator<IndexPage> {
    const members = await this.line.call(() => {
      const hours = this.#state.named(generation)?.hours ?? new Map<string, never>()
      return [...hours.keys()].filter((member) => isMemberSelected(member, selection))
    })
    for (const member of members) {
      yield await this.line.call(() => {
        const files = this.#state.named(generation)?.hours.get(member)?.values() ?? []
        return { files: [...files], unreadable: 0 }
      })
    }
  }

  lookup(
    generation: string,
    files: readonly CommitFile[],
  ): Promise<readonly (CommitFile | undefined)[]> {
    return this.line.call(() => {
      const hours = this.#state.named(generation)?.hours
      return files.map((file) => hours?.get(hourMember(file))?.get(file.key))
    })
  }

  reset(generation: string): Promise<void> {
    return this.line.call(() => {
      if (this.#state.current?.name === generation) this.#state.current = this.#state.begin()
    })
  }

  build(): Promise<IndexBuild> {
    return this.line.call(() => {
      this.#state.open()
      const built = this.#state.begin()
      this.#state.building = built
      const isOver = () => this.#state.named(built.name) === undefined
      const apply = (span: IndexSpan): ApplyOutcome => {
        return isOver() ? { kind: 'replaced' } : applyTo(built, span)
      }
      return {
        generation: built.name,
        apply: (span) => this.line.call(() => apply(span)),
        applyAll: (spans) => this.line.call(() => spans.map(apply)),
        chainOf: (id) => this.line.call(() => built.chains.get(partitionPath(id))),
        publish: () =>
          this.line.call(() => {
            if (this.#state.current === built) return true
            if (isOver()) return false
            this.#state.current = built
            this.#state.building = undefined
            return true
          }),
      }
    })
  }
}

function applyTo({ chains, hours }: Generation, span: IndexSpan): ApplyOutcome {
  for (const file of span.files) {
    const member = hourMember(file)
    let files = hours.get(member)
    if (files === undefined) {
      files = new Map<string, CommitFile>()
      hours.set(member, files)
    }
    files.set(file.key, file)
  }
  const path = partitionPath(span.id)
  const stored = chains.get(path)?.end ?? 0n
  if (stored < span.start) return { kind: 'behind', end: stored }
  if (stored >= span.end) return { kind: 'known' }
  chains.set(path, { id: span.id, end: span.end, lastStart: span.lastStart })
  return { kind: 'applied' }
}
