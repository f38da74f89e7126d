/**
 * API keys: what a client presents, and how one is kept.
 *
 *   trib_ <id, 10> _ <secret, 43> <checksum, 6>        all base62
 *
 * The prefix lets secret scanners find a leaked key, the checksum (CRC-32 of everything before it)
 * lets them and us tell a typo from an unknown key without asking anybody. The id is no secret: it
 * finds the record. The secret is 256 random bits, so nobody guesses it and no slow hash is needed:
 * argon2 and its like protect secrets that people chose. A record holds an HMAC-SHA-256 of the whole
 * key, keyed with a salt of its own: equal keys in two stores have nothing in common there, and a
 * comparison that leaked its timing would tell nothing about the key.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { crc32 } from 'node:zlib'

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const PREFIX = 'trib_'
const ID_LENGTH = 10
/** 62^43 > 2^256 and 62^6 > 2^32. */
const SECRET_LENGTH = 43
const SECRET_BYTES = 32
const CHECKSUM_LENGTH = 6
const SALT_BYTES = 16

const KEY = new RegExp(
  `^${PREFIX}([0-9A-Za-z]{${ID_LENGTH}})_[0-9A-Za-z]{${SECRET_LENGTH + CHECKSUM_LENGTH}}$`,
)
export const KEY_ID = new RegExp(`^[0-9A-Za-z]{${ID_LENGTH}}$`)
export const KEY_HASH = /^hmac-sha256:[\w-]{22}:[\w-]{43}$/

/** A key as its owner has it: it stands nowhere but in memory. */
export interface ApiKey {
  readonly id: string
  readonly text: string
}

export function generateApiKey(): ApiKey {
  // 64 bits fill ten digits and a bit: the lowest ten make a 59-bit id
  const id = base62(randomBytes(8), ID_LENGTH)
  const body = `${PREFIX}${id}_${base62(randomBytes(SECRET_BYTES), SECRET_LENGTH)}`
  return { id, text: body + checksum(body) }
}

/** The key that a text is, or undefined where it can not be one: another form, or a wrong checksum. */
export function parseApiKey(text: string): ApiKey | undefined {
  const id = KEY.exec(text)?.[1]
  if (id === undefined) return undefined
  const body = text.slice(0, -CHECKSUM_LENGTH)
  return text.endsWith(checksum(body)) ? { id, text } : undefined
}

/** What a record keeps of a key: `hmac-sha256:<salt>:<digest>`, both base64url. */
export function hashApiKey(key: ApiKey, salt: Uint8Array = randomBytes(SALT_BYTES)): string {
  const digest = createHmac('sha256', salt).update(key.text).digest('base64url')
  return `hmac-sha256:${Buffer.from(salt).toString('base64url')}:${digest}`
}

/** Whether a hash was made of this key; takes the same time wherever they differ. */
export function isHashOf(hash: string, key: ApiKey): boolean {
  const salt = Buffer.from(hash.split(':')[1] ?? '', 'base64url')
  const expected = Buffer.from(hash)
  const actual = Buffer.from(hashApiKey(key, salt))
  return expected.length === actual.length && timingSafeEqual(expected, actual)
}

function checksum(text: string): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(crc32(text))
  return base62(bytes, CHECKSUM_LENGTH)
}

/** The number that the bytes are, in base 62, with leading zeros up to `length`. */
function base62(bytes: Buffer, length: number): string {
  let rest = BigInt(`0x${bytes.toString('hex')}`)
  let text = ''
  while (text.length < length) {
    text = ALPHABET[Number(rest % 62n)]! + text
    rest /= 62n
  }
  return text
}
