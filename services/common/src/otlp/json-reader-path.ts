/** Where in a JSON text an error stands, worked out only once there is one. */

const KEY_CHARACTERS_MAX = 40
const PATH_CHARACTERS_MAX = 240

/**
 * The path of member names and element numbers to a byte offset, like `resourceLogs[0].schemaUrl`.
 * Reads the text from its start, so it costs time linear in the offset; the text may be broken from
 * the offset on.
 */
export function jsonPathAt(text: Uint8Array, offset: number): string {
  const keys: (string | number)[] = []
  let lastString = ''
  let at = 0
  while (at < offset) {
    const byte = text[at]!
    if (byte === 0x22) {
      const end = stringEnd(text, at, offset)
      lastString = printable(text.subarray(at + 1, end))
      at = end + 1
      continue
    }
    if (byte === 0x7b) keys.push('')
    else if (byte === 0x5b) keys.push(0)
    else if (byte === 0x7d || byte === 0x5d) keys.pop()
    else if (byte === 0x3a && typeof keys.at(-1) === 'string') keys[keys.length - 1] = lastString
    else if (byte === 0x2c) advance(keys)
    at++
  }
  return joinPath(keys)
}

/** A comma ends a member or an element. */
function advance(keys: (string | number)[]): void {
  const last = keys.at(-1)
  if (typeof last === 'number') keys[keys.length - 1] = last + 1
  else if (last !== undefined) keys[keys.length - 1] = ''
}

function stringEnd(text: Uint8Array, start: number, limit: number): number {
  let at = start + 1
  while (at < limit && text[at] !== 0x22) at += text[at] === 0x5c ? 2 : 1
  return at
}

/** A key as it stands in the text, with nothing in it that could disturb a log line. */
function printable(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.subarray(0, KEY_CHARACTERS_MAX)).toString('latin1')
  return text.replace(/[^\x21-\x7e]/g, '?')
}

function joinPath(keys: readonly (string | number)[]): string {
  let path = ''
  for (const key of keys) {
    if (typeof key === 'number') path += `[${key}]`
    else if (key !== '') path += path === '' ? key : `.${key}`
  }
  return path.length <= PATH_CHARACTERS_MAX ? path : `${path.slice(0, PATH_CHARACTERS_MAX)}...`
}
