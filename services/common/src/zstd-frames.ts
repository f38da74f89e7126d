/**
 * Finds the frames of a zstd body (RFC 8878, section 3.1) without decompressing: Node's decoder
 * silently stops after the first frame, and a frame may ask for a window of gigabytes.
 *
 *   frame      = magic FD2FB528 | descriptor 1 | window 0-1 | dictionary id 0-4 | content size 0-8 | block* | checksum 0-4
 *   block      = header 3 (bit 0 last, bits 1-2 type, bits 3-23 size) | content (type 1, RLE: one byte)
 *   skippable  = magic 184D2A5x | size 4 | content
 */
export interface ZstdFrame {
  /** Byte range in the body. */
  readonly start: number
  readonly end: number
  /** Decompressed size as the header claims it. */
  readonly contentBytes: number | undefined
}

const MAGIC = 0xfd2fb528
const SKIPPABLE_MAGIC = 0x184d2a50
/** RFC 8878 asks decoders for 8 MiB; a larger window would be memory that no limit counts. */
const WINDOW_BYTES_MAX = 8 * 1024 * 1024
/** A body of thousands of tiny frames is no telemetry: each would cost a decoder of its own. */
const FRAMES_MAX = 1024
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const

/** The data frames in order; undefined where the body is not zstd, is cut, or goes on after the last frame. */
export function zstdFrames(bytes: Uint8Array): ZstdFrame[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const frames: ZstdFrame[] = []
  let at = 0
  while (at < bytes.length) {
    if (at + 5 > bytes.length) return undefined
    const magic = view.getUint32(at, true)
    if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
      if (at + 8 > bytes.length) return undefined
      at += 8 + view.getUint32(at + 4, true)
      if (at > bytes.length) return undefined
      continue
    }
    if (magic !== MAGIC || frames.length === FRAMES_MAX) return undefined
    const frame = frameAt(view, at)
    if (frame === undefined) return undefined
    frames.push(frame)
    at = frame.end
  }
  return frames.length === 0 ? undefined : frames
}

function frameAt(view: DataView, start: number): ZstdFrame | undefined {
  const length = view.byteLength
  const descriptor = view.getUint8(start + 4)
  const isSingleSegment = (descriptor & 0x20) !== 0
  const hasChecksum = (descriptor & 0x04) !== 0
  let at = start + 5
  if (!isSingleSegment) {
    if (at >= length || windowBytes(view.getUint8(at)) > WINDOW_BYTES_MAX) return undefined
    at++
  }
  at += DICTIONARY_ID_BYTES[(descriptor & 3) as 0 | 1 | 2 | 3]
  const sizeCode = (descriptor >> 6) as 0 | 1 | 2 | 3
  const sizeBytes = sizeCode === 0 && isSingleSegment ? 1 : CONTENT_SIZE_BYTES[sizeCode]
  if (at + sizeBytes > length) return undefined
  const contentBytes = contentSize(view, at, sizeBytes)
  at += sizeBytes
  for (let isLast = false; !isLast;) {
    if (at + 3 > length) return undefined
    const header = view.getUint16(at, true) | (view.getUint8(at + 2) << 16)
    const type = (header >> 1) & 3
    if (type === 3) return undefined
    isLast = (header & 1) === 1
    at += 3 + (type === 1 ? 1 : header >> 3)
  }
  if (hasChecksum) at += 4
  return at > length ? undefined : { start, end: at, contentBytes }
}

/** Section 3.1.1.1.2: exponent in the upper five bits, mantissa in the lower three. */
function windowBytes(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3))
  return base + (base / 8) * (descriptor & 7)
}

function contentSize(view: DataView, at: number, sizeBytes: number): number | undefined {
  if (sizeBytes === 0) return undefined
  if (sizeBytes === 1) return view.getUint8(at)
  if (sizeBytes === 2) return view.getUint16(at, true) + 256
  if (sizeBytes === 4) return view.getUint32(at, true)
  return Number(view.getBigUint64(at, true))
}
