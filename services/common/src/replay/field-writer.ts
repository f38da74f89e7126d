/**
 * Appends protobuf fields. A proto3 default (undefined, 0, empty) is left out, except by the
 * `present` functions.
 */
import type { OutputBuffer } from '../otlp/output-buffer.ts'

const LOW_HALF = 0xffff_ffffn

function tag(field: number, wireType: number): number {
  return (field << 3) | wireType
}

/** A string or bytes field that is there even when it is empty. */
export function writePresentBytes(out: OutputBuffer, field: number, content: Uint8Array): void {
  out.writeVarint(tag(field, 2))
  out.writeVarint(content.length)
  out.writeSlice(content, 0, content.length)
}

export function writeBytes(
  out: OutputBuffer,
  field: number,
  content: Uint8Array | undefined,
): void {
  if (content !== undefined && content.length > 0) writePresentBytes(out, field, content)
}

/** 64 bits of fixed width: a time, a count, or the bits of a double. */
export function writePresentFixed64(out: OutputBuffer, field: number, value: bigint): void {
  out.writeVarint(tag(field, 1))
  appendFixed64(out, value)
}

export function appendFixed64(out: OutputBuffer, value: bigint): void {
  const bits = BigInt.asUintN(64, value)
  out.writeFixed64(Number(bits & LOW_HALF), Number(bits >> 32n))
}

export function writeFixed64(out: OutputBuffer, field: number, value: bigint | undefined): void {
  if (value !== undefined && value !== 0n) writePresentFixed64(out, field, value)
}

/** An optional field or member of a oneof: 0 differs from absent. */
export function writeOptionalFixed64(
  out: OutputBuffer,
  field: number,
  value: bigint | undefined,
): void {
  if (value !== undefined) writePresentFixed64(out, field, value)
}

/** A varint of 64 bits, signed or not. */
export function writePresentVarint(out: OutputBuffer, field: number, value: bigint): void {
  out.writeVarint(tag(field, 0))
  appendVarint(out, value)
}

export function appendVarint(out: OutputBuffer, value: bigint): void {
  const bits = BigInt.asUintN(64, value)
  out.writeVarint64(Number(bits & LOW_HALF), Number(bits >> 32n))
}

export function writeVarint(out: OutputBuffer, field: number, value: bigint | undefined): void {
  if (value !== undefined && value !== 0n) writePresentVarint(out, field, value)
}

export function writeZigzag(out: OutputBuffer, field: number, value: bigint | undefined): void {
  if (value === undefined || value === 0n) return
  writePresentVarint(out, field, (value << 1n) ^ (value >> 63n))
}

export function writeFixed32(out: OutputBuffer, field: number, value: bigint | undefined): void {
  if (value === undefined || value === 0n) return
  out.writeVarint(tag(field, 5))
  out.writeFixed32(Number(value & LOW_HALF))
}

/** Bytes that a message is expected to need for its length; others cost a move of its content. */
const LENGTH_BYTES = 2

/** A message field whose content `write` appends. */
export function writePresentMessage(out: OutputBuffer, field: number, write: () => void): void {
  out.writeVarint(tag(field, 2))
  const start = out.openLength(LENGTH_BYTES)
  write()
  out.closeLength(start, LENGTH_BYTES)
}

/** The same, but left out when nothing was appended. */
export function writeMessage(out: OutputBuffer, field: number, write: () => void): void {
  const start = out.length
  out.writeVarint(tag(field, 2))
  const contentStart = out.openLength(LENGTH_BYTES)
  write()
  if (out.length === contentStart) out.length = start
  else out.closeLength(contentStart, LENGTH_BYTES)
}
