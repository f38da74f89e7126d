import { findGoProgram, installed } from './go-program.ts'

/** Not older: v1.8.0 fixed a race between create-only puts. */
const VERSITYGW = 'github.com/versity/versitygw/cmd/versitygw@v1.8.0'
const REMEDY =
  'install Go, or set TRIBUTARY_S3_ENDPOINT (and AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)'

/** An S3-compatible server over a folder; builds it where it is not there yet. @throws Error */
export function findVersitygw(): string {
  const name = `versitygw-${VERSITYGW.split('@')[1]!}`
  return findGoProgram(name, installed(VERSITYGW), REMEDY)
}
