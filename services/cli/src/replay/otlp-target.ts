import type { SignalName } from '@tributary/common/signal'

/** One export request, ready to be sent. */
export interface OtlpRequest {
  readonly signal: SignalName
  readonly tenant: string
  /** ExportXServiceRequest, protobuf. */
  readonly body: Uint8Array
  /** Items in it. */
  readonly items: number
}

/** Where replayed requests go. */
export interface OtlpTarget {
  /** Resolves with the number of items that the target refused for ever. */
  send(request: OtlpRequest): Promise<number>
}
