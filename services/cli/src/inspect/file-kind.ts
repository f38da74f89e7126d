import { open } from 'node:fs/promises'

export type FileKind =
  'parquet' | 'wal-segment' | 'chunk-sidecar' | 'envelope' | 'arrow-stream' | 'json' | 'unknown'

const HEAD_BYTES = 16

/** Tells a file's kind by its first bytes, never by its name: backups and quarantine rename files. */
export async function fileKind(path: string): Promise<FileKind> {
  const handle = await open(path)
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0)
    return kindOfHead(buffer.subarray(0, bytesRead))
  } finally {
    await handle.close()
  }
}

export function kindOfHead(head: Buffer): FileKind {
  const text = head.toString('latin1')
  if (text.startsWith('PAR1')) return 'parquet'
  if (text.startsWith('TRIBWAL\n')) return 'wal-segment'
  if (text.startsWith('TRBHASH1')) return 'chunk-sidecar'
  if (text.startsWith('TRB1')) return 'envelope'
  // an Arrow IPC stream begins with the continuation marker
  if (head.length >= 8 && head.readUInt32LE(0) === 0xff_ff_ff_ff) return 'arrow-stream'
  return text.trimStart().startsWith('{') ? 'json' : 'unknown'
}
