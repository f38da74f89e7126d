/**
 * An ExportHandler for tests of the receivers: it checks the shape of a request without keeping any
 * of it. Good for one question only: is this body a well-formed Export request, and how many items
 * can not be taken: spans with a bad id, logs that are too large or of the year 2200. The product's
 * decoder is not used, so that receivers are tested alone.
 */
import { AppError } from '@tributary/common/errors'
import { LIMITS } from '@tributary/common/limits'
import { Signal } from '@tributary/common/signal'

import type { ExportHandler, ExportOutcome, ExportRequest } from '../export-handler.ts'

export interface ProbeHandler {
  readonly handler: ExportHandler
  /** Every request that reached the handler, oldest first. */
  readonly requests: ExportRequest[]
  /** Runs before each request is looked at; may throw or hang. */
  before: (request: ExportRequest) => void | Promise<void>
}

export function createProbeHandler(): ProbeHandler {
  const requests: ExportRequest[] = []
  const probe: ProbeHandler = {
    requests,
    before: () => undefined,
    handler: async (request) => {
      // The body goes back to the receiver's pool afterwards.
      requests.push({ ...request, body: request.body.slice() })
      await probe.before(request)
      return request.encoding === 'json' ? checkJson(request) : checkProtobuf(request)
    },
  }
  return probe
}

function outcomeOf(badItems: number): ExportOutcome {
  return {
    rejectedItems: badItems,
    storedItems: 0,
    message: badItems === 0 ? '' : 'items that can never be taken',
  }
}

function malformed(message: string): AppError {
  return new AppError('malformed_body', message)
}

function checkJson(request: ExportRequest): ExportOutcome {
  let parsed: unknown
  try {
    parsed = JSON.parse(new TextDecoder().decode(request.body))
  } catch (cause) {
    throw new AppError('malformed_body', 'body is not JSON', { cause })
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw malformed('body is not a JSON object')
  }
  for (const list of Object.values(parsed)) {
    if (!Array.isArray(list)) throw malformed('a list was expected')
  }
  const traceIds = [...JSON.stringify(parsed).matchAll(/"traceId":"([^"]*)"/g)].map(
    (match) => match[1]!,
  )
  if (traceIds.some((id) => !/^[0-9a-fA-F]*$/.test(id))) throw malformed('id is not hex')
  if (request.signal === Signal.spans) {
    return outcomeOf(traceIds.filter((id) => /^0*$/.test(id)).length)
  }
  const isBad =
    request.body.length > LIMITS.itemBytesMax ||
    Buffer.from(request.body).includes(`"timeUnixNano":"${String(FAR_FUTURE_UNIX_NANO)}"`)
  return outcomeOf(request.signal === Signal.logs && isBad ? 1 : 0)
}

/** The year 2200, as the conformance command sends it. */
const FAR_FUTURE_UNIX_NANO = 7_258_118_400_000_000_000n
/** Path of field numbers from the request to an item. */
const ITEM_PATH = [1, 2, 2]

function checkProtobuf(request: ExportRequest): ExportOutcome {
  let badItems = 0
  const visit = (message: Uint8Array, depth: number): void => {
    walk(message, (number, value) => {
      if (depth < ITEM_PATH.length) {
        if (number !== ITEM_PATH[depth]) return
        if (depth === ITEM_PATH.length - 1 && isBadLog(request, value)) badItems++
        visit(value, depth + 1)
      } else if (request.signal === Signal.spans && number === 1) {
        if (value.every((byte) => byte === 0)) badItems++
      }
    })
  }
  visit(request.body, 0)
  return outcomeOf(badItems)
}

function isBadLog({ signal }: ExportRequest, item: Uint8Array): boolean {
  if (signal !== Signal.logs) return false
  const time = Buffer.alloc(8)
  time.writeBigUInt64LE(FAR_FUTURE_UNIX_NANO)
  return item.length > LIMITS.itemBytesMax || Buffer.from(item).includes(time)
}

/** Calls back for every length-delimited field; everything else is checked and skipped. */
function walk(bytes: Uint8Array, onBytes: (number: number, value: Uint8Array) => void): void {
  let at = 0
  const groups: number[] = []
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++]
      if (byte === undefined) throw malformed('varint is cut short')
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return value
    }
    throw malformed('varint is too long')
  }
  const skip = (length: number): void => {
    at += length
    if (at > bytes.length) throw malformed('field is cut short')
  }
  while (at < bytes.length) {
    const tag = Number(varint())
    const number = Math.floor(tag / 8)
    if (number === 0) throw malformed('field number 0')
    switch (tag % 8) {
      case 0:
        varint()
        break
      case 1:
        skip(8)
        break
      case 2: {
        const length = Number(varint())
        skip(length)
        if (groups.length === 0) onBytes(number, bytes.subarray(at - length, at))
        break
      }
      case 3:
        groups.push(number)
        break
      case 4:
        if (groups.pop() !== number) throw malformed('group ends that did not start')
        break
      case 5:
        skip(4)
        break
      default:
        throw malformed('unknown wire type')
    }
  }
  if (groups.length > 0) throw malformed('group does not end')
}
