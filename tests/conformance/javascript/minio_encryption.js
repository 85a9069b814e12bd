// minio-js asks for encryption where it can: with headers of objects, with options of reads and copies, and as the default of a bucket.
// All bodies hold a mark that the test looks for among the files of the store: `s3.sealed` where it must not be found, `s3.open` where it
// must.
'use strict'

const assert = require('node:assert/strict')
const crypto = require('node:crypto')
const minio = require('minio')
const s3 = require('./s3.js')

const BUCKET = 'sealed'
const KMS_KEY = process.env.KMS_KEY
const HEADER = 'x-amz-server-side-encryption'

const c = new minio.Client({
  endPoint: s3.endpoint.hostname,
  port: Number(s3.endpoint.port),
  useSSL: s3.endpoint.protocol === 'https:',
  accessKey: s3.accessKey,
  secretKey: s3.secretKey,
  // A second attempt would hide a failure.
  retryOptions: { disableRetry: true },
})

function customerKey() {
  const key = crypto.randomBytes(32)
  const [SSECustomerKey, SSECustomerKeyMD5] = [key, crypto.createHash('md5').update(key).digest()].map((each) => each.toString('base64'))
  return { SSECustomerAlgorithm: 'AES256', SSECustomerKey, SSECustomerKeyMD5 }
}

const KEY = customerKey()
const WRONG = customerKey()

// The client has options for reads, and none for writes.
const headers = (key) => ({
  [`${HEADER}-customer-algorithm`]: key.SSECustomerAlgorithm,
  [`${HEADER}-customer-key`]: key.SSECustomerKey,
  [`${HEADER}-customer-key-md5`]: key.SSECustomerKeyMD5,
})

async function refused(code, call) {
  await assert.rejects(call, (error) => {
    assert.equal(error.code, code, `${error.code} instead of ${code}: ${error}`)
    return true
  })
}

const read = async (key, options) => s3.bytesOf(await c.getObject(BUCKET, key, options))
const put = (key, body, more) => c.putObject(BUCKET, key, body, body.length, more)

async function told(key) {
  const { metaData } = await c.statObject(BUCKET, key)
  return Object.fromEntries(Object.entries(metaData).filter(([name]) => name.startsWith(HEADER)))
}

async function customerKeys() {
  for (const size of [100, 100_000, 3 * s3.MIB]) {
    const name = `customer/${size}`
    await put(name, s3.marked(size), headers(KEY))
    s3.same(await read(name, KEY), s3.marked(size), name)
    const part = await s3.bytesOf(await c.getPartialObject(BUCKET, name, 13, 77, KEY))
    s3.same(part, s3.marked(size).subarray(13, 90), 'a range')
    await refused('InvalidRequest', () => read(name))
    await refused('InvalidRequest', () => read(name, WRONG))
  }
  await put('open', s3.open)
  await refused('InvalidRequest', () => read('open', KEY))
}

async function storeKeys() {
  const named = { [HEADER]: 'aws:kms', [`${HEADER}-aws-kms-key-id`]: KMS_KEY }
  for (const [name, asked] of Object.entries({ managed: { [HEADER]: 'AES256' }, named })) {
    await put(`store/${name}`, s3.marked(100_000), asked)
    assert.deepEqual(await told(`store/${name}`), asked)
    s3.same(await read(`store/${name}`), s3.marked(100_000), name)
  }
  await refused('KMS.NotFoundException', () => put('store/unknown', s3.sealed, { ...named, [`${HEADER}-aws-kms-key-id`]: 'nobodys' }))
  await refused('NotFound', () => c.statObject(BUCKET, 'store/unknown'))
}

// The client's own option for the encryption of copies refuses all that it is given; headers pass.
async function copies() {
  const copy = (from, Object, Headers) => {
    const source = new minio.CopySourceOptions({ Bucket: BUCKET, Object: from })
    return c.copyObject(source, new minio.CopyDestinationOptions({ Bucket: BUCKET, Object, Headers }))
  }
  const ofSource = ([name, value]) => [name.replace('x-amz', 'x-amz-copy-source'), value]
  const source = Object.fromEntries(Object.entries(headers(KEY)).map(ofSource))
  await copy('customer/100000', 'copies/other', { ...source, ...headers(WRONG) })
  s3.same(await read('copies/other', WRONG), s3.marked(100_000), 'copied under another key')
  await refused('InvalidRequest', () => read('copies/other', KEY))
  await refused('InvalidRequest', () => copy('customer/100000', 'copies/none', headers(KEY)))
  await copy('store/managed', 'copies/named', { [HEADER]: 'aws:kms', [`${HEADER}-aws-kms-key-id`]: KMS_KEY })
  assert.deepEqual(await told('copies/named'), { [HEADER]: 'aws:kms', [`${HEADER}-aws-kms-key-id`]: KMS_KEY })
  s3.same(await read('copies/named'), s3.marked(100_000), 'copied under a key with a name')
}

async function defaults() {
  assert.deepEqual(await told('open'), {})
  await refused('ServerSideEncryptionConfigurationNotFoundError', () => c.getBucketEncryption(BUCKET))
  const rule = (algorithm) => ({ Rule: [{ ApplyServerSideEncryptionByDefault: algorithm }] })
  await c.setBucketEncryption(BUCKET, rule({ SSEAlgorithm: 'AES256' }))
  const kept = await c.getBucketEncryption(BUCKET)
  const kind = kept.ServerSideEncryptionConfiguration.Rule.ApplyServerSideEncryptionByDefault.SSEAlgorithm
  assert.equal(kind, 'AES256')
  await put('defaults/managed', s3.marked(10_000))
  assert.deepEqual(await told('defaults/managed'), { [HEADER]: 'AES256' })
  // In parts, of which none says anything of encryption.
  await put('defaults/parts', s3.marked(70 * s3.MIB))
  assert.deepEqual(await told('defaults/parts'), { [HEADER]: 'AES256' })
  s3.same(await read('defaults/parts'), s3.marked(70 * s3.MIB), 'in parts')
  await c.removeBucketEncryption(BUCKET)
  await put('open again', s3.open)
  assert.deepEqual(await told('open again'), {})
}

s3.runAll([() => c.makeBucket(BUCKET), customerKeys, storeKeys, copies, defaults])
