/** How a process names itself to the others of its cluster. */
import { hostname } from 'node:os'

/** Room in an id for what makes it unique. */
const ID_NAME_LENGTH_MAX = 100

/** @param unique makes the id that of this start of the process: some hex digits */
export function memberIdOf(name: string, unique: string): string {
  // ids are short words: of a long host name the end is cut, the random part stays
  const word = name.replace(/[^A-Za-z0-9_.-]/g, '_').slice(0, ID_NAME_LENGTH_MAX)
  return `${word}-${unique}`
}

/** The host that others reach this one by: what it listens on, unless that is every address. */
export function advertisedHost(advertiseHost: string | undefined, host: string): string {
  const isAny = host === '0.0.0.0' || host === '::'
  return advertiseHost ?? (isAny ? hostname() : host)
}
