/**
 * ExportLogs/Trace/MetricsServiceResponse: the three messages share their shape.
 *
 *   Response       = partial_success 1: PartialSuccess   (absent on full success)
 *   PartialSuccess = rejected 1: int64 | error_message 2: string
 */
import type { ExportOutcome } from '../export-handler.ts'
import type { ExportRoute } from './export-route.ts'
import { bytesField, message, stringField, varintField } from '@tributary/common/protobuf-message'

export function isFullSuccess(outcome: ExportOutcome): boolean {
  return outcome.rejectedItems === 0 && outcome.message === ''
}

export function encodeExportResponse(outcome: ExportOutcome): Uint8Array {
  if (isFullSuccess(outcome)) return new Uint8Array(0)
  return bytesField(
    1,
    message(varintField(1, outcome.rejectedItems), stringField(2, outcome.message)),
  )
}

/** Proto3 JSON: an int64 is a string. */
export function exportResponseJson(outcome: ExportOutcome, route: ExportRoute): string {
  if (isFullSuccess(outcome)) return '{}'
  return JSON.stringify({
    partialSuccess: {
      [route.rejectedField]: String(outcome.rejectedItems),
      errorMessage: outcome.message,
    },
  })
}
