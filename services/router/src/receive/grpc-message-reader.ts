/**
 * Assembles the one message of a unary call from DATA frames.
 *
 *   message = compressed flag 1 (0 or 1) | length 4, big-endian | bytes
 *
 * The length is checked as soon as the five bytes are there, before anything is allocated. A
 * message within one frame is not copied, any other lies in a buffer of the pool until `release`. What
 * the flag means is left to the call.
 */
import { AppError } from '@tributary/common/errors'

import type { BodyPool } from './body-pool.ts'

const PREFIX_BYTES = 5

export interface MessagePrefix {
  readonly isCompressed: boolean
  readonly length: number
}

export class GrpcMessageReader {
  readonly #pool: BodyPool
  readonly #onPrefix: (prefix: MessagePrefix) => void
  /** The prefix where frames cut it in pieces; made only then. */
  #prefix: Uint8Array | undefined
  #prefixUsed = 0
  #length = 0
  /** The frame that is the whole message. */
  #frame: Uint8Array | undefined
  #buffer: Uint8Array | undefined
  #used = 0

  /** `onPrefix` checks what the client announces, and throws to refuse it. */
  constructor(pool: BodyPool, onPrefix: (prefix: MessagePrefix) => void) {
    this.#pool = pool
    this.#onPrefix = onPrefix
  }

  /** @throws AppError malformed_body for bytes after the message; what `onPrefix` throws */
  add(chunk: Uint8Array): void {
    let at = 0
    if (this.#prefixUsed === 0 && chunk.length >= PREFIX_BYTES) {
      this.#prefixUsed = at = PREFIX_BYTES
      this.#open(chunk)
    } else if (this.#prefixUsed < PREFIX_BYTES) {
      const prefix = (this.#prefix ??= new Uint8Array(PREFIX_BYTES))
      while (at < chunk.length && this.#prefixUsed < PREFIX_BYTES) {
        prefix[this.#prefixUsed++] = chunk[at++]!
      }
      if (this.#prefixUsed < PREFIX_BYTES) return
      this.#open(prefix)
    }
    const left = chunk.length - at
    if (this.#used + left > this.#length) {
      throw new AppError('malformed_body', 'more than one message in a unary call')
    }
    if (left === 0) return
    const part = at === 0 ? chunk : chunk.subarray(at)
    if (left === this.#length) {
      this.#frame = part
    } else {
      this.#buffer ??= this.#pool.take(this.#length)
      this.#buffer.set(part, this.#used)
    }
    this.#used += left
  }

  /** The message, once the client has ended its side. @throws AppError malformed_body when it is cut */
  finish(): Uint8Array {
    if (this.#prefixUsed === 0) throw new AppError('malformed_body', 'no message in a unary call')
    if (this.#prefixUsed < PREFIX_BYTES || this.#used < this.#length) {
      throw new AppError('malformed_body', 'message is cut short', {
        details: { bytes: this.#used, expected: this.#length },
      })
    }
    return this.#frame ?? this.#buffer?.subarray(0, this.#length) ?? new Uint8Array(0)
  }

  /** Gives the message's buffer back: the message must not be looked at any more. */
  release(): void {
    if (this.#buffer !== undefined) this.#pool.give(this.#buffer)
    this.#buffer = undefined
  }

  #open(prefix: Uint8Array): void {
    const flag = prefix[0]!
    if (flag > 1) {
      throw new AppError('malformed_body', 'compressed flag is neither 0 nor 1', {
        details: { flag },
      })
    }
    this.#length = prefix[1]! * 0x1000000 + ((prefix[2]! << 16) | (prefix[3]! << 8) | prefix[4]!)
    this.#onPrefix({ isCompressed: flag === 1, length: this.#length })
  }
}
