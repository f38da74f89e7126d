/**
 * What a process remembers of its own calls to the metadata store, so that the store can tell
 * two things that it cannot know by itself: a call that arrives after later ones (it timed out and was
 * still on its way) changes nothing, and writes that were answered and are gone (a failover, an old
 * backup) make a new incarnation.
 */
import { randomUUID } from 'node:crypto'

/** Goes with every call that writes. */
export interface CallStamp {
  /** Random, one per ledger: numbers of different ledgers do not compare. */
  readonly sender: string
  /** Ascends from 1 with every call for this member. */
  readonly sequence: number
  /** The greatest sequence that was answered in the incarnation last seen. */
  readonly answered: number
  /** The incarnation last seen, '' before the first answer. */
  readonly incarnation: string
  /** The greatest revision seen of it. */
  readonly revision: number
  /** Random text of the incarnation to make, should one be needed. */
  readonly freshId: string
}

interface MemberCalls {
  sent: number
  answered: number
}

export class CallLedger {
  readonly #newId: () => string
  readonly #sender: string
  #incarnation = ''
  #revision = 0
  /** One process speaks for one member; tests for a few. */
  readonly #members = new Map<string, MemberCalls>()

  /** @param newId letters, digits and hyphens, never twice the same; a simulation gives its own */
  constructor(newId: () => string = randomUUID) {
    this.#newId = newId
    this.#sender = newId()
  }

  stamp(member: string): CallStamp {
    const calls = this.#callsOf(member)
    calls.sent++
    return {
      sender: this.#sender,
      sequence: calls.sent,
      answered: calls.answered,
      incarnation: this.#incarnation,
      revision: this.#revision,
      freshId: this.#newId(),
    }
  }

  /** For a call that only reads. */
  blank(): CallStamp {
    const { incarnation, revision } = { incarnation: this.#incarnation, revision: this.#revision }
    return { sender: this.#sender, sequence: 0, answered: 0, incarnation, revision, freshId: '' }
  }

  /** Takes note of an answer and of the incarnation and revision that came with it. */
  note(member: string, stamp: CallStamp, incarnation: string, revision: number): void {
    if (incarnation !== this.#incarnation) {
      // of two answers that cross, the one of the older incarnation says nothing new
      if (generationOf(incarnation) < generationOf(this.#incarnation)) return
      this.#incarnation = incarnation
      this.#revision = 0
      for (const calls of this.#members.values()) calls.answered = 0
    }
    this.#revision = Math.max(this.#revision, revision)
    const calls = this.#callsOf(member)
    calls.answered = Math.max(calls.answered, stamp.sequence)
  }

  #callsOf(member: string): MemberCalls {
    let calls = this.#members.get(member)
    if (calls === undefined) {
      calls = { sent: 0, answered: 0 }
      this.#members.set(member, calls)
    }
    return calls
  }
}

/** `<generation>.<random>`: of two incarnations the one of the greater generation is the later. */
export function incarnationName(generation: number, freshId: string): string {
  return `${generation}.${freshId}`
}

/** 0 for ''. */
export function generationOf(incarnation: string): number {
  return Number(/^(\d{1,15})\./.exec(incarnation)?.[1] ?? 0)
}
