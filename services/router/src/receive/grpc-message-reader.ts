/**
 * Assembles the one message of a unary call from DATA frames.
 *
 *   message = compressed flag 1 (0 or 1) | length 4, big-endian | bytes
 *
 * The length is checked as soon as the five bytes are there, before anything is allocated. A
 * message within one frame is not copied. What the flag means is left to the call.
 */
import { AppError } from '@tributary/common/errors'

const PREFIX_BYTES = 5

export interface MessagePrefix {
  readonly isCompressed: boolean
  readonly length: number
}

export class GrpcMessageReader {
  readonly #onPrefix: (prefix: MessagePrefix) => void
  readonly #prefix = new Uint8Array(PREFIX_BYTES)
  #prefixUsed = 0
  #length = 0
  #message: Uint8Array | undefined
  #used = 0

  /** `onPrefix` checks what the client announces, and throws to refuse it. */
  constructor(onPrefix: (prefix: MessagePrefix) => void) {
    this.#onPrefix = onPrefix
  }

  get isStarted(): boolean {
    return this.#prefixUsed > 0
  }

  /** @throws AppError malformed_body for bytes after the message; what `onPrefix` throws */
  add(chunk: Uint8Array): void {
    let at = 0
    if (this.#prefixUsed < PREFIX_BYTES) {
      while (at < chunk.length && this.#prefixUsed < PREFIX_BYTES) {
        this.#prefix[this.#prefixUsed++] = chunk[at++]!
      }
      if (this.#prefixUsed < PREFIX_BYTES) return
      this.#open()
    }
    const left = chunk.length - at
    if (this.#used + left > this.#length) {
      throw new AppError('malformed_body', 'more than one message in a unary call')
    }
    if (left === 0) return
    if (this.#message === undefined) {
      if (left === this.#length) {
        this.#message = at === 0 ? chunk : chunk.subarray(at)
        this.#used = left
        return
      }
      this.#message = Buffer.allocUnsafeSlow(this.#length)
    }
    this.#message.set(at === 0 ? chunk : chunk.subarray(at), this.#used)
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
    return this.#message ?? new Uint8Array(0)
  }

  #open(): void {
    const prefix = this.#prefix
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
