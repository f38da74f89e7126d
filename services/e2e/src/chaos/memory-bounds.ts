/** A3: what each role may hold at most in a chaos run, by its settings in `cluster/role-flags.ts`. */
import type { ProcessRole } from '../cluster/cluster-process.ts'

/** Node, the code, V8's young generation, the libraries' buffers: an idle process has some 120 MiB. */
const BASE_MIB = 160
/** `--memtable-bytes-max`; a flush holds what it writes beside what comes in. */
const MEMTABLE_MIB = 32
/** Each of two flush workers has a heap of its own, and the pages of the row group that it writes. */
const FLUSH_WORKERS_MIB = 2 * 64
/** Of each broker a fetch of 8 MiB that arrives and one that is read. */
const FETCHED_MIB = 3 * 2 * 8
/** Requests of all lanes of all clients, and what they became while brokers are away: below 4 MiB each. */
const REQUESTS_MIB = 96

export const RESIDENT_MIB_MAX: Readonly<Record<ProcessRole, number>> = {
  router: BASE_MIB + REQUESTS_MIB,
  ingester: BASE_MIB + 2 * MEMTABLE_MIB + FLUSH_WORKERS_MIB + FETCHED_MIB,
  standalone: BASE_MIB + 2 * MEMTABLE_MIB + FLUSH_WORKERS_MIB + REQUESTS_MIB,
}
