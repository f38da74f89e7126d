/**
 * The hashes by which partitions are chosen: 64 bits of SHA-256, equal in every router.
 *
 *     tenant hash = sha256(signal varint(tenant length) tenant)
 *     stream hash = sha256(signal varint(tenant length) tenant resource)
 *     lead hash   = sha256(varint(ordinal) lead)
 *
 * `resource` is the Resource* message without its scopes, normalized as it stands in a batch
 * (docs/format/batch.md). `lead` is what is known of a chunk before any of its rows is written: the
 * bytes of its first item, with the tag, at most LEAD_BYTES_MAX of them; `ordinal` counts the chunks
 * of the Resource* message from 0. Both follow from the bytes of that message alone, as the chunk's
 * boundaries do, so a retry comes to the same hash.
 */
import { hash } from 'node:crypto'
import type { Signal } from '../signal.ts'
import type { KeyHash } from './rendezvous.ts'

/** Time, ids and severity stand in front of an item; a long body behind them tells nothing more. */
export const LEAD_BYTES_MAX = 1024

export function tenantHash(tenant: string, signal: Signal): KeyHash {
  return keyHashOf(streamPrefix(tenant, signal))
}

export function streamHash(tenant: string, signal: Signal, resource: Uint8Array): KeyHash {
  return keyHashOf(Buffer.concat([streamPrefix(tenant, signal), resource]))
}

/** `item` from its tag on; what is behind LEAD_BYTES_MAX does not count. */
export function leadHash(item: Uint8Array, ordinal: number): KeyHash {
  const lead = item.subarray(0, LEAD_BYTES_MAX)
  const preimage = Buffer.allocUnsafe(5 + lead.length)
  const at = writeVarint(preimage, ordinal, 0)
  preimage.set(lead, at)
  return keyHashOf(preimage.subarray(0, at + lead.length))
}

/** As the routing table and the status of routers write it: 16 hex digits. */
export function keyHashText({ high, low }: KeyHash): string {
  return hexOf(high) + hexOf(low)
}

function keyHashOf(preimage: Uint8Array): KeyHash {
  const digest = hash('sha256', preimage, 'buffer')
  return { high: digest.readInt32BE(0), low: digest.readInt32BE(4) }
}

/** Tenant names are ASCII of at most 63 characters: their length is one byte. */
function streamPrefix(tenant: string, signal: Signal): Buffer {
  const prefix = Buffer.allocUnsafe(2 + tenant.length)
  prefix[0] = signal
  prefix[1] = tenant.length
  prefix.write(tenant, 2, 'latin1')
  return prefix
}

function writeVarint(bytes: Uint8Array, value: number, at: number): number {
  let rest = value >>> 0
  let next = at
  for (; rest >= 0x80; rest >>>= 7) bytes[next++] = (rest & 0x7f) | 0x80
  bytes[next++] = rest
  return next
}

function hexOf(half: number): string {
  return (half >>> 0).toString(16).padStart(8, '0')
}
