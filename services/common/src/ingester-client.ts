/** Asks an ingester over gRPC: for tools, and for readers of rows that are not committed yet. */
import { credentials, status } from '@grpc/grpc-js'
import type { Client, ClientReadableStream, ServiceError } from '@grpc/grpc-js'

import { AppError, type ErrorCode } from './errors.ts'
import {
  IngesterServiceClient,
  type PartitionList,
  type ReadUnflushedRequest,
  type ReadUnflushedResponse,
} from './ingester-service.ts'

export interface IngesterClientOptions {
  /** host:port of its gRPC services, as members tell it. */
  readonly address: string
  /** Default: plain text. Authorities are those that Node trusts. */
  readonly hasTls?: boolean
}

type Unary = (
  request: object,
  options: { readonly deadline: number },
  done: (error: ServiceError | null, answer: object) => void,
) => void

type ServerStream = (
  request: ReadUnflushedRequest,
  options: { readonly deadline: number },
) => ClientReadableStream<ReadUnflushedResponse>

type Method = 'listPartitions' | 'flush' | 'drain' | 'resume'

const CODE_OF: Readonly<Partial<Record<number, ErrorCode>>> = {
  [status.NOT_FOUND]: 'object_missing',
  [status.RESOURCE_EXHAUSTED]: 'overloaded',
  [status.CANCELLED]: 'cancelled',
}

/** An answer of a read holds at most 256 KiB of a file; lists are smaller. */
const MESSAGE_BYTES_MAX = 4 * 1024 * 1024

export class IngesterClient {
  readonly #client: Client
  readonly #address: string

  constructor({ address, hasTls = false }: IngesterClientOptions) {
    this.#address = address
    const channel = hasTls ? credentials.createSsl() : credentials.createInsecure()
    this.#client = new IngesterServiceClient(address, channel, {
      'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    })
  }

  /** @throws AppError not_ready where it does not answer */
  listPartitions(timeoutMs: number): Promise<PartitionList> {
    return this.#call('listPartitions', timeoutMs) as Promise<PartitionList>
  }

  /** Commits everything that it has fetched. @throws AppError not_ready */
  async flush(timeoutMs: number): Promise<void> {
    await this.#call('flush', timeoutMs)
  }

  /**
   * Resolves when it has given every partition away.
   * @param holdSeconds how long it takes none again, unless asked once more; 0: until it stops or resumes
   * @throws AppError not_ready; cancelled where the drain was ended meanwhile
   */
  async drain(timeoutMs: number, holdSeconds = 0): Promise<void> {
    await this.#call('drain', timeoutMs, { holdSeconds })
  }

  /**
   * Ends a drain.
   * @param onlyHeld not one that was asked for without a hold: that is a person's
   * @throws AppError not_ready, also where it stops
   */
  async resume(timeoutMs: number, onlyHeld = false): Promise<void> {
    await this.#call('resume', timeoutMs, { onlyHeld })
  }

  /**
   * The messages of a read, in order: the range, then files and their bytes. Leaving early ends it.
   * @throws AppError not_ready; object_missing where the partition is owned elsewhere; overloaded
   */
  async *readUnflushed(
    request: ReadUnflushedRequest,
    timeoutMs: number,
  ): AsyncGenerator<ReadUnflushedResponse> {
    const read = (this.#client as unknown as { readUnflushed: ServerStream }).readUnflushed
    const call = read.call(this.#client, request, { deadline: Date.now() + timeoutMs })
    try {
      for await (const message of call) yield message as ReadUnflushedResponse
    } catch (error) {
      throw this.#failure(error as ServiceError)
    } finally {
      call.cancel()
    }
  }

  close(): void {
    this.#client.close()
  }

  #call(method: Method, timeoutMs: number, request: object = {}): Promise<object> {
    const unary = (this.#client as unknown as Record<string, Unary>)[method]!
    return new Promise((resolve, reject) => {
      unary.call(this.#client, request, { deadline: Date.now() + timeoutMs }, (error, answer) => {
        if (error === null) resolve(answer)
        else reject(this.#failure(error))
      })
    })
  }

  #failure(cause: ServiceError): AppError {
    const details = { address: this.#address, status: cause.code, answer: cause.details }
    return new AppError(CODE_OF[cause.code] ?? 'not_ready', 'the ingester did not do it', {
      cause,
      details,
    })
  }
}
