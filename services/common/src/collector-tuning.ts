/**
 * How V8 collects garbage in a process that receives telemetry, where its defaults do not fit.
 *
 * It starts a full collection by the bytes that buffers hold outside of its heap. Bodies and socket
 * reads pass through at hundreds of megabytes a second while the heap itself stays at 20 MB, so with
 * its defaults V8 marks that heap again and again: 60 full collections in 11 s of load, 10 with the
 * later start set here, at 8 % less CPU per record and 40 MB more memory.
 *
 * An idle process, on the other hand, never collects what loading a few hundred modules has left.
 *
 * Its young generation grows to two halves of 64 MiB in each thread under many small requests, and
 * stays there: 16 MiB save 100 MB and cost no load that was measured more CPU.
 *
 * V8 learns where objects live long, and allocates those in the old generation from then on. For
 * streams of HTTP/2 that wait for a sync it learns it wrongly: each then keeps what it points at
 * alive until the next full collection, a fifth of all that requests allocate, and one-record
 * requests cost 44 or 58 us of CPU as it happens. Without it they cost 44 in runs that alternated
 * (docs/bench-journal.md, which also names the part of it that is Node's and stays).
 *
 * V8 takes both when it starts, so whoever starts Node has to give them: `NODE_FLAGS`.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Percent of the heap's room that is used up before marking starts. */
const MARKING_TRIGGER_PERCENT = 90

/** Of Node, before the command: the command's first line and the image's entry point repeat them. */
export const NODE_FLAGS: readonly string[] = [
  '--max-semi-space-size=16',
  '--no-allocation-site-pretenuring',
]

/** Sets the flag for this process and its threads. */
export function tuneCollector(): void {
  setFlagsFromString(`--incremental-marking-soft-trigger=${String(MARKING_TRIGGER_PERCENT)}`)
}

/**
 * Collects what starting has left: 21 of 129 MiB. Holds the event loop for 60 to 100 ms, so it comes
 * before the first request.
 */
export function collectAfterStart(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as (options: GarbageCollection) => void
  collect({ type: 'major', flavor: 'last-resort' })
}

interface GarbageCollection {
  readonly type: 'major'
  /** `last-resort` also gives the young generation's pages back to the system. */
  readonly flavor: 'regular' | 'last-resort'
}
