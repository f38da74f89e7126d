/**
 * What a flush spends its time on: waiting for a worker, encoding a table, uploading a file, creating
 * the commit.
 */
export const FLUSH_STAGES = ['wait', 'encode', 'upload', 'commit'] as const
export type FlushStage = (typeof FLUSH_STAGES)[number]

export type StageObserver = (stage: FlushStage, seconds: number) => void
