/** What the main thread and a flush worker say to each other: plain data, cloned on the way. */
import type { ErrorCode } from '@tributary/common/errors'
import type { SchemaSnapshot } from '@tributary/common/schema/schema-state'
import type { TableAttribute } from './attribute-plan.ts'
import type { TableJob, TableResult } from './table-writer.ts'

/** An AppError as data. */
export interface FailureMessage {
  readonly code: ErrorCode
  readonly message: string
  readonly details: Readonly<Record<string, unknown>>
}

export type ToWorker =
  | { readonly kind: 'table'; readonly id: number; readonly job: TableJob }
  | { readonly kind: 'schema'; readonly id: number; readonly schema: SchemaSnapshot }
  | { readonly kind: 'schema-failed'; readonly id: number; readonly failure: FailureMessage }

export type FromWorker =
  | {
      readonly kind: 'schema-wanted'
      readonly id: number
      readonly wanted: readonly TableAttribute[]
    }
  | { readonly kind: 'done'; readonly id: number; readonly result: TableResult }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: FailureMessage }
