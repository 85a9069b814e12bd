// The AWS SDK for JavaScript v3 asks for each kind of encryption. All bodies hold a mark that the test looks for among the files of the
// store: `s3.sealed` where it must not be found, `s3.open` where it must.
'use strict'

const assert = require('node:assert/strict')
const crypto = require('node:crypto')
const { Readable } = require('node:stream')
const { Upload } = require('@aws-sdk/lib-storage')
const { c, call, bytes, refused } = require('./aws_sdk_client.js')
const s3 = require('./s3.js')

const BUCKET = 'sealed'
const PART = 5 * s3.MIB
const KMS_KEY = process.env.KMS_KEY

// The SDK encodes keys and computes their MD5 by itself.
const key = () => ({ SSECustomerAlgorithm: 'AES256', SSECustomerKey: crypto.randomBytes(32) })
const source = (own) => ({
  CopySourceSSECustomerAlgorithm: own.SSECustomerAlgorithm,
  CopySourceSSECustomerKey: own.SSECustomerKey,
})
const KEY = key()
const WRONG = key()
const CUSTOMER = { SSECustomerAlgorithm: 'AES256' }

const inBucket = (name, input) => call(name, { Bucket: BUCKET, ...input })
const read = async (Key, more) => bytes(await inBucket('GetObject', { Key, ...more }))

// What an answer says of encryption.
function told(answer) {
  const names = ['ServerSideEncryption', 'SSEKMSKeyId', 'SSECustomerAlgorithm']
  return Object.fromEntries(names.filter((name) => answer[name] !== undefined).map((name) => [name, answer[name]]))
}

async function customerKeys() {
  for (const size of [100, 100_000, 3 * s3.MIB]) {
    const Key = `customer/${size}`
    const body = s3.marked(size)
    const put = await inBucket('PutObject', { Key, Body: body, ...KEY })
    assert.deepEqual(told(put), CUSTOMER)
    assert.equal(put.SSECustomerKeyMD5, crypto.createHash('md5').update(KEY.SSECustomerKey).digest('base64'))
    const head = await inBucket('HeadObject', { Key, ...KEY })
    assert.deepEqual([told(head), head.ContentLength], [CUSTOMER, size])
    s3.same(await read(Key, KEY), body, Key)
    s3.same(await read(Key, { ...KEY, Range: 'bytes=13-77' }), body.subarray(13, 78), 'a range')
    s3.same(await read(Key, { ...KEY, Range: 'bytes=-31' }), body.subarray(-31), 'the end')
    for (const other of [{}, WRONG]) {
      await refused(400, 'InvalidRequest', inBucket('GetObject', { Key, ...other }))
      await assert.rejects(inBucket('HeadObject', { Key, ...other }), (error) => error.$metadata.httpStatusCode === 400)
    }
  }
  await inBucket('PutObject', { Key: 'open', Body: s3.open })
  await refused(400, 'InvalidRequest', inBucket('GetObject', { Key: 'open', ...KEY }))
}

async function copies() {
  const CopySource = `${BUCKET}/customer/100000`
  const copied = await inBucket('CopyObject', { Key: 'copies/other', CopySource, ...source(KEY), ...WRONG })
  assert.deepEqual(told(copied), CUSTOMER)
  s3.same(await read('copies/other', WRONG), s3.marked(100_000), 'copied under another key')
  await refused(400, 'InvalidRequest', inBucket('GetObject', { Key: 'copies/other', ...KEY }))
  const managed = { Key: 'copies/managed', CopySource, ...source(KEY), ServerSideEncryption: 'AES256' }
  assert.deepEqual(told(await inBucket('CopyObject', managed)), { ServerSideEncryption: 'AES256' })
  s3.same(await read('copies/managed'), s3.marked(100_000), 'copied under a key of the store')
  for (const shown of [{}, source(WRONG)]) {
    await refused(400, 'InvalidRequest', inBucket('CopyObject', { Key: 'copies/none', CopySource, ...shown, ...KEY }))
  }
  await refused(404, 'NotFound', inBucket('HeadObject', { Key: 'copies/none' }))
}

async function uploads() {
  const body = s3.marked(2 * PART + 1234)
  const send = (Key, Body, more) => new Upload({ client: c, partSize: PART, params: { Bucket: BUCKET, Key, Body, ...more } }).done()
  await send('uploads/customer', body, KEY)
  await send('uploads/streamed', Readable.from([body]), { ...KEY, ChecksumAlgorithm: 'SHA256' })
  for (const Key of ['uploads/customer', 'uploads/streamed']) {
    const head = await inBucket('HeadObject', { Key, ...KEY })
    assert.deepEqual([told(head), head.ETag.endsWith('-3"')], [CUSTOMER, true])
    s3.same(await read(Key, { ...KEY, ChecksumMode: 'ENABLED' }), body, Key)
    s3.same(await read(Key, { ...KEY, PartNumber: 2 }), body.subarray(PART, 2 * PART), 'the second part')
    const range = { ...KEY, Range: `bytes=${PART - 5}-${PART + 4}` }
    s3.same(await read(Key, range), body.subarray(PART - 5, PART + 5), 'a range over two parts')
    await refused(400, 'InvalidRequest', inBucket('GetObject', { Key, ...WRONG }))
  }
  const { UploadId } = await inBucket('CreateMultipartUpload', { Key: 'uploads/by hand', ...WRONG })
  const open = { Key: 'uploads/by hand', UploadId }
  for (const other of [{}, KEY]) {
    await refused(400, 'InvalidRequest', inBucket('UploadPart', { ...open, PartNumber: 1, Body: 'x', ...other }))
  }
  const copy = { ...open, CopySource: `${BUCKET}/uploads/customer`, CopySourceRange: `bytes=1-${PART}`, PartNumber: 1 }
  await refused(400, 'InvalidRequest', inBucket('UploadPartCopy', { ...copy, ...WRONG }))
  const copied = await inBucket('UploadPartCopy', { ...copy, ...WRONG, ...source(KEY) })
  const part = await inBucket('UploadPart', { ...open, PartNumber: 2, Body: s3.sealed, ...WRONG })
  const Parts = [{ PartNumber: 1, ETag: copied.CopyPartResult.ETag }, { PartNumber: 2, ETag: part.ETag }]
  await inBucket('CompleteMultipartUpload', { ...open, MultipartUpload: { Parts } })
  s3.same(await read(open.Key, WRONG), Buffer.concat([body.subarray(1, PART + 1), s3.sealed]), 'by hand')
}

async function storeKeys() {
  const ways = [
    [{ ServerSideEncryption: 'AES256' }, { ServerSideEncryption: 'AES256' }],
    [{ ServerSideEncryption: 'aws:kms' }, { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'aws/s3' }],
    [{ ServerSideEncryption: 'aws:kms', SSEKMSKeyId: KMS_KEY }, { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: KMS_KEY }],
  ]
  for (const [number, [asked, expected]] of ways.entries()) {
    const Key = `store/${number}`
    assert.deepEqual(told(await inBucket('PutObject', { Key, Body: s3.marked(100_000), ...asked })), expected)
    assert.deepEqual(told(await inBucket('HeadObject', { Key })), expected)
    s3.same(await read(Key), s3.marked(100_000), Key)
    const params = { Bucket: BUCKET, Key, Body: s3.marked(PART + 78), ...asked }
    assert.deepEqual(told(await new Upload({ client: c, partSize: PART, params }).done()), expected)
    const got = await inBucket('GetObject', { Key })
    assert.deepEqual(told(got), expected)
    s3.same(await bytes(got), s3.marked(PART + 78), `${Key} in parts`)
  }
  const unknown = { Key: 'store/unknown', ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'nobody-made-this-key' }
  await refused(400, 'KMS.NotFoundException', inBucket('PutObject', { ...unknown, Body: 'x' }))
  await refused(400, 'KMS.NotFoundException', inBucket('CreateMultipartUpload', unknown))
  await refused(404, 'NotFound', inBucket('HeadObject', { Key: 'store/unknown' }))
}

async function defaults() {
  await refused(404, 'ServerSideEncryptionConfigurationNotFoundError', inBucket('GetBucketEncryption'))
  const ways = [
    [{ SSEAlgorithm: 'AES256' }, { ServerSideEncryption: 'AES256' }],
    [{ SSEAlgorithm: 'aws:kms', KMSMasterKeyID: KMS_KEY }, { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: KMS_KEY }],
  ]
  for (const [number, [default_, expected]] of ways.entries()) {
    const Rules = [{ ApplyServerSideEncryptionByDefault: default_, BucketKeyEnabled: false }]
    await inBucket('PutBucketEncryption', { ServerSideEncryptionConfiguration: { Rules } })
    assert.deepEqual((await inBucket('GetBucketEncryption')).ServerSideEncryptionConfiguration.Rules, Rules)
    const Key = `defaults/${number}`
    assert.deepEqual(told(await inBucket('PutObject', { Key, Body: s3.marked(10_000) })), expected)
    assert.deepEqual(told(await inBucket('HeadObject', { Key })), expected)
    s3.same(await read(Key), s3.marked(10_000), Key)
  }
  await inBucket('DeleteBucketEncryption')
  assert.deepEqual(told(await inBucket('PutObject', { Key: 'open again', Body: s3.open })), {})
}

s3.runAll([() => inBucket('CreateBucket'), customerKeys, copies, uploads, storeKeys, defaults])
