import { parseFields } from '@tributary/common/protobuf-message'

/** What came back from one probe, the same for both transports. */
export interface ProbeAnswer {
  /** gRPC status or HTTP status; undefined when the connection ended without an answer. */
  readonly status: number | undefined
  /** From RetryInfo, or from Retry-After where there is none. */
  readonly retryDelayMs: number | undefined
  readonly hasBadRequest: boolean
  readonly message: string
  /** Header of the answer. */
  readonly contentType: string
  readonly headers: Readonly<Record<string, string>>
  /** The message of the answer, without framing. */
  readonly body: Uint8Array
  /** The google.rpc.Status of an error answer, where one was sent. */
  readonly rpcStatus: RpcStatusSeen | undefined
  /** Why there was no answer. */
  readonly failure: string
}

export interface RpcStatusSeen {
  readonly code: number
  readonly message: string
  readonly retryDelayMs: number | undefined
  readonly hasBadRequest: boolean
}

const decoder = new TextDecoder()

/** google.rpc.Status in protobuf; undefined where the bytes are none. */
export function readRpcStatus(bytes: Uint8Array): RpcStatusSeen | undefined {
  const fields = parseFields(bytes)
  if (fields === undefined) return undefined
  let code = 0
  let text = ''
  let retryDelayMs: number | undefined
  let hasBadRequest = false
  for (const { number, value } of fields) {
    if (number === 1 && typeof value === 'number') code = value
    else if (number === 2 && typeof value !== 'number') text = decoder.decode(value)
    else if (number === 3 && typeof value !== 'number') {
      const detail = readAny(value)
      if (detail === undefined) return undefined
      if (detail.typeUrl.endsWith('google.rpc.RetryInfo')) {
        retryDelayMs = readRetryDelayMs(detail.value)
      } else if (detail.typeUrl.endsWith('google.rpc.BadRequest')) hasBadRequest = true
    } else return undefined
  }
  return { code, message: text, retryDelayMs, hasBadRequest }
}

/** google.rpc.Status in proto3 JSON. */
export function readRpcStatusJson(text: string): RpcStatusSeen | undefined {
  const parsed = parseJson(text)
  if (!isRecord(parsed)) return undefined
  const details = Array.isArray(parsed['details']) ? parsed['details'].filter(isRecord) : []
  const typeOf = (detail: Record<string, unknown>): string => String(detail['@type'])
  const retry = details.find((detail) => typeOf(detail).endsWith('google.rpc.RetryInfo'))
  const delay = /^([\d.]+)s$/.exec(String(retry?.['retryDelay']))
  return {
    code: typeof parsed['code'] === 'number' ? parsed['code'] : 0,
    message: typeof parsed['message'] === 'string' ? parsed['message'] : '',
    retryDelayMs: delay === null ? undefined : Number(delay[1]) * 1000,
    hasBadRequest: details.some((detail) => typeOf(detail).endsWith('google.rpc.BadRequest')),
  }
}

/** The rejected count of an Export response; undefined where partial_success is unset. */
export function readRejectedItems(answer: ProbeAnswer): number | undefined {
  if (answer.contentType.startsWith('application/json')) {
    const parsed = parseJson(decoder.decode(answer.body))
    const partial = isRecord(parsed) ? parsed['partialSuccess'] : undefined
    if (!isRecord(partial)) return undefined
    const count = Object.entries(partial).find(([key]) => key.startsWith('rejected'))
    return Number(count?.[1] ?? 0)
  }
  const partial = parseFields(answer.body)?.find((field) => field.number === 1)?.value
  if (partial === undefined || typeof partial === 'number') return undefined
  const count = parseFields(partial)?.find((field) => field.number === 1)?.value
  return typeof count === 'number' ? count : 0
}

/** The rejected count is unset and the answer has its encoding's form of an empty message. */
export function isFullSuccess(answer: ProbeAnswer): boolean {
  if (!answer.contentType.startsWith('application/json')) return answer.body.length === 0
  const parsed = parseJson(decoder.decode(answer.body))
  return isRecord(parsed) && parsed['partialSuccess'] === undefined
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function readAny(bytes: Uint8Array): { typeUrl: string; value: Uint8Array } | undefined {
  const fields = parseFields(bytes)
  const typeUrl = fields?.find((field) => field.number === 1)?.value
  const value = fields?.find((field) => field.number === 2)?.value ?? new Uint8Array(0)
  if (typeUrl === undefined || typeof typeUrl === 'number' || typeof value === 'number') {
    return undefined
  }
  return { typeUrl: decoder.decode(typeUrl), value }
}

function readRetryDelayMs(retryInfo: Uint8Array): number | undefined {
  const duration = parseFields(retryInfo)?.find((field) => field.number === 1)?.value
  if (duration === undefined || typeof duration === 'number') return undefined
  const fields = parseFields(duration) ?? []
  const numberOf = (wanted: number): number => {
    const value = fields.find((field) => field.number === wanted)?.value
    return typeof value === 'number' ? value : 0
  }
  return numberOf(1) * 1000 + numberOf(2) / 1e6
}
