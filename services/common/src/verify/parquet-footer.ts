import { decodeThrift } from '@dsnp/parquetjs/dist/lib/util.js'

import { AppError } from '../errors.ts'
import { FileMetaData } from '../parquet/thrift.ts'

const MAGIC = 'PAR1'
/** The footer's length and the magic at the end of every Parquet file. */
const TRAILER_BYTES = 8
/** 1,000 columns x 100 row groups at 300 B of metadata each are 30 MB. */
const FOOTER_BYTES_MAX = 64 * 1024 * 1024

export interface ParquetFooter {
  readonly rows: number
  readonly rowsOfGroups: number
  readonly keyValues: ReadonlyMap<string, string>
}

/**
 * Reads the footer of a Parquet file of `fileBytes` bytes through `read`, with the Thrift classes of
 * @dsnp/parquetjs: nothing of our own writer.
 * @throws AppError invalid_file
 */
export async function readParquetFooter(
  fileBytes: number,
  read: (offset: number, length: number) => Promise<Uint8Array>,
): Promise<ParquetFooter> {
  if (fileBytes < 2 * TRAILER_BYTES) throw invalid('is too short for a Parquet file')
  const trailer = Buffer.from(await read(fileBytes - TRAILER_BYTES, TRAILER_BYTES))
  if (trailer.length !== TRAILER_BYTES || trailer.toString('latin1', 4) !== MAGIC) {
    throw invalid('does not end as a Parquet file')
  }
  const footerBytes = trailer.readUInt32LE(0)
  if (footerBytes > fileBytes - TRAILER_BYTES || footerBytes > FOOTER_BYTES_MAX) {
    throw invalid('has a footer larger than itself')
  }
  const bytes = Buffer.from(await read(fileBytes - TRAILER_BYTES - footerBytes, footerBytes))
  const footer = new FileMetaData()
  try {
    decodeThrift(footer, bytes)
  } catch (error) {
    throw invalid('has a footer that is no Thrift', error)
  }
  const groups = footer.row_groups ?? []
  return {
    rows: Number(footer.num_rows),
    rowsOfGroups: groups.reduce((sum, group) => sum + Number(group.num_rows), 0),
    keyValues: new Map(
      (footer.key_value_metadata ?? []).map(({ key, value }) => [key, value ?? '']),
    ),
  }
}

function invalid(problem: string, cause?: unknown): AppError {
  return new AppError('invalid_file', `file ${problem}`, { cause })
}
