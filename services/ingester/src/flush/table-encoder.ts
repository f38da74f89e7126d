/**
 * The port to whatever turns a table's batches into files: worker threads in production, the
 * simulator's own in the simulation.
 */
import type { StageObserver } from './flush-stage.ts'
import type { TableJob, TableResult } from './table-writer.ts'

export interface TableEncoder {
  /**
   * Writes the files of a table. The memory of its batches is read until the promise settles.
   * @param signal gives up a table that has not begun: then nothing reads its memory
   * @param observe told how long it waited, and took
   * @throws AppError of the table; encode_failed when its writer died again and again; cancelled
   */
  run(job: TableJob, signal?: AbortSignal, observe?: StageObserver): Promise<TableResult>
  close(): Promise<void>
}
