/**
 * Attribute keys as column names, and back. Reversible, and without collisions also where an engine
 * ignores case (docs/format/schema.md):
 *
 *   name      = namespace "." body [ "@" ordinal ] [ "@" suffix ]
 *   namespace = "resource" | "scope" | "attributes"
 *   body      = the key as sent, but "@" is "@@", a leading "_" is "@_", a control character or lone
 *               surrogate is "@x" and four hex digits, the empty key is "@empty"
 *   ordinal   = 2, 3 ...: the key differs only in case from earlier ones of the schema chain
 *   suffix    = "string" | "int" | "double" | "bool" | "bytes" | "json": a sibling column; without one
 *               the column holds the type that was seen first
 */
export const NAMESPACES = ['resource', 'scope', 'attributes'] as const
export type Namespace = (typeof NAMESPACES)[number]

/** The types of attribute values; `any` is an array, a map or no value at all. */
export const ATTRIBUTE_TYPES = ['string', 'int', 'double', 'bool', 'bytes', 'any'] as const
export type AttributeType = (typeof ATTRIBUTE_TYPES)[number]

/** What a sibling column of a type is called. */
const SUFFIXES = {
  string: 'string',
  int: 'int',
  double: 'double',
  bool: 'bool',
  bytes: 'bytes',
  any: 'json',
} as const satisfies Record<AttributeType, string>
const TYPES: ReadonlyMap<string, AttributeType> = new Map(
  ATTRIBUTE_TYPES.map((type) => [SUFFIXES[type], type]),
)

/** What nearly all keys are: printable ASCII without @, the same in every engine. */
const PLAIN = /^[ -?A-~]*$/
const EMPTY_BODY = '@empty'
// C0, DEL, C1 and surrogates without their other half
const ESCAPED =
  /[\u0000-\u001f\u007f-\u009f]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g
const NAME =
  /^(resource|scope|attributes)\.((?:[^@]|@@|@_|@x[0-9a-f]{4})+?|@empty)(?:@([1-9]\d{0,7}))?(?:@(string|int|double|bool|bytes|json))?$/su

export interface ColumnName {
  readonly namespace: Namespace
  readonly key: string
  /** 1 unless the key differs only in case from others. */
  readonly ordinal: number
  /** Of a sibling; undefined for the column that owns the plain name. */
  readonly type: AttributeType | undefined
}

export function formatColumnName(name: ColumnName): string {
  const ordinal = name.ordinal === 1 ? '' : `@${name.ordinal}`
  const suffix = name.type === undefined ? '' : `@${SUFFIXES[name.type]}`
  return `${name.namespace}.${escapeKey(name.key)}${ordinal}${suffix}`
}

/** undefined where the name is none that `formatColumnName` makes. */
export function parseColumnName(column: string): ColumnName | undefined {
  const match = NAME.exec(column)
  if (match === null) return undefined
  const [, namespace, body, ordinal, suffix] = match
  const name: ColumnName = {
    namespace: namespace as Namespace,
    key: unescapeKey(body!),
    ordinal: ordinal === undefined ? 1 : Number(ordinal),
    type: suffix === undefined ? undefined : TYPES.get(suffix),
  }
  // one name per column: what escapes without need is not ours
  return formatColumnName(name) === column ? name : undefined
}

/**
 * Equal for keys that any engine may take for the same: case folding beyond what ASCII (DuckDB), Java's
 * equalsIgnoreCase (Spark) and full Unicode mappings do. Keys that fold alike without need get a suffix.
 */
export function foldKey(key: string): string {
  if (PLAIN.test(key)) return key.toLowerCase()
  // twice each way: sharp s, Kelvin, dotless i, long s and final sigma all meet their kin
  const folded = key.toLowerCase().toUpperCase().toLowerCase().toUpperCase().toLowerCase()
  return folded.replaceAll('i\u0307', 'i').replaceAll('\u03c2', '\u03c3')
}

function escapeKey(key: string): string {
  if (key === '') return EMPTY_BODY
  if (PLAIN.test(key) && !key.startsWith('_')) return key
  const escaped = key
    .replaceAll('@', '@@')
    .replace(ESCAPED, (character) => `@x${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return escaped.startsWith('_') ? `@${escaped}` : escaped
}

function unescapeKey(body: string): string {
  if (body === EMPTY_BODY) return ''
  return body.replace(/@(?:(@|_)|x([0-9a-f]{4}))/g, (_all, plain?: string, hex?: string) =>
    plain === undefined ? String.fromCharCode(Number.parseInt(hex!, 16)) : plain,
  )
}
