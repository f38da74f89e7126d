import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import {
  generateApiKey,
  hashApiKey,
  isHashOf,
  KEY_HASH,
  parseApiKey,
} from '../../src/tenants/api-key.ts'

describe('an API key', () => {
  it('has a prefix, an id, a secret and a checksum that scanners can find', () => {
    const key = generateApiKey()
    assert.match(key.text, /^trib_[0-9A-Za-z]{10}_[0-9A-Za-z]{49}$/)
    assert.equal(key.text.slice(5, 15), key.id)
    assert.deepEqual(parseApiKey(key.text), key)
  })

  it('is another one each time, in id and secret', () => {
    const keys = Array.from({ length: 1000 }, generateApiKey)
    assert.equal(new Set(keys.map(({ id }) => id)).size, keys.length)
    assert.equal(new Set(keys.map(({ text }) => text.slice(16))).size, keys.length)
  })

  it('is told from a text with any one character changed, left out or added', () => {
    const { text } = generateApiKey()
    for (let index = 0; index < text.length; index++) {
      const other = text[index] === 'q' ? 'r' : 'q'
      const head = text.slice(0, index)
      assert.equal(parseApiKey(head + other + text.slice(index + 1)), undefined, `at ${index}`)
      assert.equal(parseApiKey(head + text.slice(index + 1)), undefined, `without ${index}`)
      assert.equal(parseApiKey(`${head}q${text.slice(index)}`), undefined, `before ${index}`)
    }
    assert.equal(parseApiKey(`${text}\n`), undefined)
    assert.equal(parseApiKey(''), undefined)
  })
})

describe('the hash of an API key', () => {
  it('is keyed with a salt of its own, and fits its key alone', () => {
    const key = generateApiKey()
    const [first, second] = [hashApiKey(key), hashApiKey(key)]
    assert.match(first, KEY_HASH)
    assert.notEqual(first, second)
    assert.ok(isHashOf(first, key))
    assert.ok(isHashOf(second, key))
    assert.equal(isHashOf(first, generateApiKey()), false)
    assert.equal(isHashOf('', key), false)
    assert.equal(isHashOf('hmac-sha256:x:y', key), false)
  })

  it('stays what it was: stored hashes must fit after an upgrade', () => {
    const text = 'trib_AAAAAAAAAA_0000000000000000000000000000000000000000000'
    const key = { id: 'AAAAAAAAAA', text }
    // python3 -c "import hmac,base64;print(base64.urlsafe_b64encode(hmac.digest(bytes(16), b'<text>', 'sha256')))"
    const expected =
      'hmac-sha256:AAAAAAAAAAAAAAAAAAAAAA:6wfDYj5NSdbt5k0HMTUbPngwVpBz08JjkcjKdX2-MOs'
    assert.equal(hashApiKey(key, new Uint8Array(16)), expected)
  })
})
