/**
 * The port to single ingesters: their internal gRPC service. An implementation keeps connections; a
 * controller in a simulation asks ingesters of the same process.
 */
import { IngesterClient } from '@tributary/common/ingester-client'
import type { PartitionList } from '@tributary/common/ingester-service'

/** All calls throw AppError not_ready where the ingester does not answer in time. */
export interface IngesterControl {
  list(address: string): Promise<PartitionList>
  /** Resolves when it owns nothing, or throws: the drain goes on for `holdSeconds` all the same. */
  drain(address: string, holdSeconds: number): Promise<void>
  /** Ends a drain of ours; one that a person asked for goes on. */
  resume(address: string): Promise<void>
  /** Closes connections to all others. */
  keepOnly(addresses: ReadonlySet<string>): void
}

const CALL_TIMEOUT_MS = 3000
/** A drain that takes longer is asked for again, which renews its hold. */
const DRAIN_CALL_TIMEOUT_MS = 10_000

export class GrpcIngesterControl implements IngesterControl {
  readonly #clients = new Map<string, IngesterClient>()

  list(address: string): Promise<PartitionList> {
    return this.#client(address).listPartitions(CALL_TIMEOUT_MS)
  }

  drain(address: string, holdSeconds: number): Promise<void> {
    return this.#client(address).drain(DRAIN_CALL_TIMEOUT_MS, holdSeconds)
  }

  resume(address: string): Promise<void> {
    return this.#client(address).resume(CALL_TIMEOUT_MS, true)
  }

  keepOnly(addresses: ReadonlySet<string>): void {
    for (const [address, client] of this.#clients) {
      if (addresses.has(address)) continue
      client.close()
      this.#clients.delete(address)
    }
  }

  #client(address: string): IngesterClient {
    let client = this.#clients.get(address)
    if (client === undefined) {
      client = new IngesterClient({ address })
      this.#clients.set(address, client)
    }
    return client
  }
}
