/**
 * A format of ours by example: how this build writes a fixed content, and how it reads bytes of that format,
 * whichever version wrote them. The bytes that each version wrote lie in `fixtures/formats/` for ever.
 */
import type { ErrorCode } from '@tributary/common/errors'

export interface FormatSample {
  /** `<name>-<version>` is the fixture. */
  readonly name: string
  readonly version: number
  readonly write: () => Uint8Array
  /** What the bytes say. */
  readonly read: (bytes: Uint8Array) => unknown
  /** The same bytes with another version; undefined: the format has none. */
  readonly withVersion?: (bytes: Uint8Array, version: number) => Uint8Array
  /** What a reader makes of a version that it does not know. */
  readonly refusal: { readonly code: ErrorCode; readonly message: RegExp }
}

/** Of numbers in JSON documents. */
export function withJsonVersion(bytes: Uint8Array, version: number): Uint8Array {
  const text = Buffer.from(bytes).toString('utf8')
  return Buffer.from(text.replace(/"formatVersion":\d+/, `"formatVersion":${String(version)}`))
}

export function withUint16At(position: number) {
  return (bytes: Uint8Array, version: number): Uint8Array => {
    const changed = Buffer.from(bytes)
    changed.writeUInt16LE(version, position)
    return changed
  }
}

/** What was read, as JSON: bytes as hex, integers of 64 bits as text, maps and sets as lists. */
export function readText(value: unknown): string {
  const plain = (_key: string, part: unknown): unknown => {
    if (typeof part === 'bigint') return String(part)
    if (part instanceof Map || part instanceof Set) return [...(part as Iterable<unknown>)]
    return part
  }
  return `${JSON.stringify(hexed(value), plain, 2)}\n`
}

/** Before JSON: a Buffer would make an object of itself. */
function hexed(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (Array.isArray(value)) return value.map(hexed)
  if (value instanceof Map) return [...(value as Map<unknown, unknown>)].map(hexed)
  if (value instanceof Set) return [...(value as Set<unknown>)].map(hexed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, hexed(part)]))
}
