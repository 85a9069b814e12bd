// What the JavaScript clients share: where the store is, content that is the same each time, and the names that clients get wrong.
'use strict'

const assert = require('node:assert/strict')
const crypto = require('node:crypto')

const MIB = 1 << 20
// What a test looks for among the files of the store, where it must not and where it must be found.
const sealed = Buffer.from(process.env.SEALED ?? '')
const open = Buffer.from(process.env.OPEN ?? '')

// Names with blanks, signs, letters beyond ASCII and empty or dotted steps: each must come back as it was sent.
const UNUSUAL_KEYS = [
  'names/a b+c&d=e?f#g%41.txt',
  'names/äöü €/日本語',
  'names//two//slashes/',
  'names/./dot/../dots',
  'names/quote\'s"(x)*!~;:@$,[]{}',
].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))

// Bytes that look random, the same for the same size and seed.
function content(sizeBytes, seed = 0) {
  const cipher = crypto.createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16))
  return cipher.update(Buffer.alloc(sizeBytes))
}

// Content with the mark of what is sealed somewhere inside.
function marked(sizeBytes) {
  const bytes = content(sizeBytes)
  sealed.copy(bytes, Math.floor(sizeBytes / 2))
  return bytes
}

function same(found, expected, what) {
  assert.equal(found.length, expected.length, `${what}: length`)
  assert.ok(Buffer.compare(found, expected) === 0, `${what}: the content differs`)
}

// All of a stream: bytes, or the things that it emits.
async function bytesOf(stream) {
  const chunks = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function allOf(stream) {
  const found = []
  for await (const each of stream) found.push(each)
  return found
}

// Sends a form as a page would; `fields` are what was signed.
async function sendForm(url, fields, bytes) {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.append(name, value)
  form.append('file', new Blob([bytes]), 'page.bin')
  return fetch(url, { method: 'POST', body: form })
}

// Runs the parts of a script one after another and says which one failed.
async function runAll(parts) {
  for (const part of parts) {
    try {
      await part()
    } catch (error) {
      console.error(`${part.name} failed:`, error)
      process.exit(1)
    }
  }
  console.log('done')
  // Connections that are kept for a next request would keep the process.
  process.exit(0)
}

module.exports = {
  MIB,
  UNUSUAL_KEYS,
  sealed,
  open,
  content,
  marked,
  same,
  bytesOf,
  allOf,
  sendForm,
  runAll,
  endpoint: new URL(process.env.S3_ENDPOINT),
  // Whether buckets are named in paths, and not by hosts.
  pathStyle: process.env.S3_STYLE === 'path',
  accessKey: process.env.ACCESS_KEY,
  secretKey: process.env.SECRET_KEY,
}
