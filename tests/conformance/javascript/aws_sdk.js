// The AWS SDK for JavaScript v3: single calls, the Upload of lib-storage, presigned addresses and forms.
'use strict'

const assert = require('node:assert/strict')
const { Readable } = require('node:stream')
const sdk = require('@aws-sdk/client-s3')
const { Upload } = require('@aws-sdk/lib-storage')
const { createPresignedPost } = require('@aws-sdk/s3-presigned-post')
const { getSignedUrl } = require('@aws-sdk/s3-request-presigner')
const { c, client, call, bytes, refused } = require('./aws_sdk_client.js')
const s3 = require('./s3.js')

const BUCKET = process.env.S3_BUCKET ?? 'aws-sdk-js'
const PART = 5 * s3.MIB

const inBucket = (name, input) => call(name, { Bucket: BUCKET, ...input })
const read = async (Key, more) => bytes(await inBucket('GetObject', { Key, ...more }))

async function buckets() {
  await refused(404, 'NotFound', inBucket('HeadBucket'), sdk.NotFound)
  await inBucket('CreateBucket')
  await inBucket('HeadBucket')
  assert.ok((await call('ListBuckets', {})).Buckets.some((each) => each.Name === BUCKET))
  await sdk.waitUntilBucketExists({ client: c, maxWaitTime: 60 }, { Bucket: BUCKET })
}

async function objects() {
  for (const size of [0, 1, 70_000, 3 * s3.MIB]) {
    const body = s3.content(size)
    const described = { ContentType: 'image/x-test', CacheControl: 'no-cache', Metadata: { origin: 'js', 'two-words': 'a b' } }
    const put = await inBucket('PutObject', { Key: `objects/${size}`, Body: body, ...described })
    assert.ok(put.ChecksumCRC32, 'the SDK sends a CRC32 by itself, and its answer tells it')
    const got = await inBucket('GetObject', { Key: `objects/${size}`, ChecksumMode: 'ENABLED' })
    const { ContentType, CacheControl, Metadata } = got
    assert.deepEqual({ ContentType, CacheControl, Metadata }, described)
    assert.deepEqual([got.ETag, got.ChecksumCRC32, got.ContentLength], [put.ETag, put.ChecksumCRC32, size])
    s3.same(await bytes(got), body, `${size}`)
  }
  const large = s3.content(3 * s3.MIB)
  const spans = { 'bytes=0-0': [0, 1], 'bytes=131070-131073': [131070, 131074], 'bytes=3000000-': [3_000_000], 'bytes=-7': [-7] }
  for (const [Range, span] of Object.entries(spans)) {
    s3.same(await read(`objects/${3 * s3.MIB}`, { Range }), large.subarray(...span), Range)
  }
  await refused(416, 'InvalidRange', inBucket('GetObject', { Key: 'objects/1', Range: 'bytes=5-' }))
  await refused(404, 'NoSuchKey', inBucket('GetObject', { Key: 'objects/missing' }), sdk.NoSuchKey)
  await refused(404, 'NotFound', inBucket('HeadObject', { Key: 'objects/missing' }), sdk.NotFound)
  await refused(404, 'NoSuchBucket', call('GetObject', { Bucket: 'nobody-made-this-one', Key: 'x' }))
}

async function checksums() {
  for (const algorithm of ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256']) {
    const name = `Checksum${algorithm}`
    const Key = `checksums/${algorithm}`
    // Of a stream the SDK sends the checksum behind the content.
    const Body = Readable.from([s3.content(100_000)])
    const put = await inBucket('PutObject', { Key, Body, ContentLength: 100_000, ChecksumAlgorithm: algorithm })
    const head = await inBucket('HeadObject', { Key, ChecksumMode: 'ENABLED' })
    assert.ok(put[name] && put[name] === head[name], `${name}: ${put[name]}, ${head[name]}`)
    s3.same(await read(Key, { ChecksumMode: 'ENABLED' }), s3.content(100_000), Key)
  }
  const wrong = { Key: 'checksums/wrong', Body: 'x', ChecksumSHA256: Buffer.alloc(32).toString('base64') }
  await refused(400, 'BadDigest', inBucket('PutObject', wrong))
  await refused(404, 'NotFound', inBucket('HeadObject', { Key: 'checksums/wrong' }))
}

async function uploads() {
  const body = s3.content(3 * PART + 1234, 2)
  const send = (Key, Body, more) =>
    new Upload({ client: c, partSize: PART, queueSize: 3, params: { Bucket: BUCKET, Key, Body, ...more } }).done()
  const done = await send('uploads/ä +', body, { Metadata: { origin: 'upload' } })
  assert.ok(done.ETag.endsWith('-4"'), done.ETag)
  // Chunks that do not fall on the edges of parts.
  const chunks = Array.from({ length: Math.ceil(body.length / 1_000_003) }, (_, n) => body.subarray(n * 1_000_003, (n + 1) * 1_000_003))
  await send('uploads/streamed', Readable.from(chunks), { ChecksumAlgorithm: 'SHA256' })
  await send('uploads/small', Buffer.from('in one'))
  for (const [key, expected] of [['uploads/ä +', body], ['uploads/streamed', body], ['uploads/small', Buffer.from('in one')]]) {
    s3.same(await read(key, { ChecksumMode: 'ENABLED' }), expected, key)
  }
  const second = await inBucket('GetObject', { Key: 'uploads/ä +', PartNumber: 2 })
  assert.equal(second.PartsCount, 4)
  s3.same(await bytes(second), body.subarray(PART, 2 * PART), 'the second part')
  const asked = { Key: 'uploads/streamed', ObjectAttributes: ['ObjectParts', 'Checksum', 'ObjectSize'] }
  const told = await inBucket('GetObjectAttributes', asked)
  assert.deepEqual([told.ObjectSize, told.ObjectParts.TotalPartsCount], [body.length, 4])

  const stopped = new Upload({ client: c, partSize: PART, params: { Bucket: BUCKET, Key: 'uploads/stopped', Body: body } })
  stopped.on('httpUploadProgress', () => stopped.abort())
  await assert.rejects(stopped.done(), { name: 'AbortError' })
  const { UploadId } = await inBucket('CreateMultipartUpload', { Key: 'uploads/open' })
  const open = { Key: 'uploads/open', UploadId }
  const part = await inBucket('UploadPart', { ...open, PartNumber: 1, Body: 'x' })
  const copied = await inBucket('UploadPartCopy', { ...open, PartNumber: 2, CopySource: `${BUCKET}/uploads/small` })
  const Parts = [{ PartNumber: 1, ETag: part.ETag }, { PartNumber: 2, ETag: copied.CopyPartResult.ETag }]
  const listed = await inBucket('ListParts', open)
  assert.deepEqual(listed.Parts.map((each) => each.ETag), Parts.map((each) => each.ETag))
  await refused(400, 'EntityTooSmall', inBucket('CompleteMultipartUpload', { ...open, MultipartUpload: { Parts } }))
  await inBucket('AbortMultipartUpload', open)
  await refused(404, 'NoSuchUpload', inBucket('ListParts', open))
}

async function lists() {
  for (const key of s3.UNUSUAL_KEYS) {
    await inBucket('PutObject', { Key: key, Body: key })
    assert.equal((await read(key)).toString(), key)
  }
  const found = []
  for await (const page of sdk.paginateListObjectsV2({ client: c, pageSize: 2 }, { Bucket: BUCKET, Prefix: 'names/' })) {
    assert.ok(page.KeyCount <= 2)
    found.push(...page.Contents.map((each) => each.Key))
  }
  assert.deepEqual(found, s3.UNUSUAL_KEYS)
  const first = await inBucket('ListObjects', { Prefix: 'names/', MaxKeys: 3 })
  const rest = await inBucket('ListObjects', { Prefix: 'names/', Marker: first.Contents.at(-1).Key })
  assert.deepEqual([...first.Contents, ...rest.Contents].map((each) => each.Key), s3.UNUSUAL_KEYS)
  const folders = []
  for await (const page of sdk.paginateListObjectsV2({ client: c, pageSize: 1 }, { Bucket: BUCKET, Delimiter: '/' })) {
    folders.push(...page.CommonPrefixes.map((each) => each.Prefix))
  }
  assert.deepEqual(folders, ['checksums/', 'names/', 'objects/', 'uploads/'])
}

async function conditions() {
  const Key = 'conditions/k'
  const { ETag } = await inBucket('PutObject', { Key, Body: 'first', IfNoneMatch: '*' })
  await refused(412, 'PreconditionFailed', inBucket('PutObject', { Key, Body: 'x', IfNoneMatch: '*' }))
  await refused(412, 'PreconditionFailed', inBucket('PutObject', { Key, Body: 'x', IfMatch: '"other"' }))
  await inBucket('PutObject', { Key, Body: 'second', IfMatch: ETag })
  await refused(412, 'PreconditionFailed', inBucket('GetObject', { Key, IfMatch: ETag }))
  const now = await inBucket('HeadObject', { Key })
  // The SDK has no class for "not modified".
  await assert.rejects(inBucket('GetObject', { Key, IfNoneMatch: now.ETag }), (error) => error.$metadata.httpStatusCode === 304)
  const raced = await Promise.allSettled(
    Array.from({ length: 8 }, (_, n) => inBucket('PutObject', { Key: 'conditions/raced', Body: `${n}`, IfNoneMatch: '*' })),
  )
  const winners = raced.flatMap((each, n) => (each.status === 'fulfilled' ? [`${n}`] : []))
  assert.equal(winners.length, 1, 'exactly one of the racing writers wins')
  assert.equal((await read('conditions/raced')).toString(), winners[0])

  const CopySource = `${BUCKET}/${encodeURIComponent(s3.UNUSUAL_KEYS[0])}`
  await inBucket('CopyObject', { Key: 'conditions/copy', CopySource })
  assert.equal((await read('conditions/copy')).toString(), s3.UNUSUAL_KEYS[0])
  const other = { Key: 'conditions/copy', CopySource, CopySourceIfMatch: '"other"' }
  await refused(412, 'PreconditionFailed', inBucket('CopyObject', other))
}

async function presigned() {
  const [Key] = s3.UNUSUAL_KEYS.filter((each) => each.includes('%41'))
  const sign = (name, input, options) => getSignedUrl(c, new sdk[`${name}Command`]({ Bucket: BUCKET, ...input }), options)
  const get = await sign('GetObject', { Key, ResponseContentType: 'text/x-asked' }, { expiresIn: 60 })
  const answer = await fetch(get)
  assert.deepEqual([await answer.text(), answer.headers.get('content-type')], [Key, 'text/x-asked'])
  assert.equal((await fetch(get.replace('a%20b', 'a%20c'))).status, 403)
  const put = await sign('PutObject', { Key: 'presigned/ä +', ContentType: 'text/x-put' }, { expiresIn: 60 })
  const sent = await fetch(put, { method: 'PUT', body: 'presigned', headers: { 'Content-Type': 'text/x-put' } })
  assert.equal(sent.status, 200, await sent.text())
  assert.equal((await read('presigned/ä +')).toString(), 'presigned')
  const late = await sign('GetObject', { Key }, { expiresIn: 1, signingDate: new Date(Date.now() - 60_000) })
  assert.equal((await fetch(late)).status, 403)

  const { url, fields } = await createPresignedPost(c, {
    Bucket: BUCKET,
    Key: 'presigned/${filename}',
    Conditions: [['content-length-range', 1, 100_000], ['starts-with', '$x-amz-meta-by', 'pa']],
    Fields: { 'x-amz-meta-by': 'page' },
    Expires: 60,
  })
  const form = s3.content(90_000, 4)
  assert.equal((await s3.sendForm(url, fields, form)).status, 204)
  const got = await inBucket('GetObject', { Key: 'presigned/page.bin' })
  s3.same(await bytes(got), form, 'form')
  assert.deepEqual(got.Metadata, { by: 'page' })
  assert.equal((await s3.sendForm(url, { ...fields, 'x-amz-meta-by': 'nobody' }, form)).status, 403)
}

async function tags() {
  await inBucket('PutObject', { Key: 'tags/k', Body: 'x', Tagging: 'kind=small%20one&a%2Fb=%2B%3D' })
  const TagSet = [{ Key: 'a/b', Value: '+=' }, { Key: 'kind', Value: 'small one' }]
  const sorted = (set) => set.toSorted((a, b) => (a.Key < b.Key ? -1 : 1))
  assert.deepEqual(sorted((await inBucket('GetObjectTagging', { Key: 'tags/k' })).TagSet), TagSet)
  assert.equal((await inBucket('GetObject', { Key: 'tags/k' })).TagCount, 2)
  await inBucket('DeleteObjectTagging', { Key: 'tags/k' })
  assert.deepEqual((await inBucket('GetObjectTagging', { Key: 'tags/k' })).TagSet, [])
  await inBucket('PutBucketTagging', { Tagging: { TagSet } })
  assert.deepEqual(sorted((await inBucket('GetBucketTagging')).TagSet), TagSet)
  const rule = { AllowedMethods: ['GET', 'PUT'], AllowedOrigins: ['https://*.example.lan'], ExposeHeaders: ['ETag'] }
  await inBucket('PutBucketCors', { CORSConfiguration: { CORSRules: [rule] } })
  assert.deepEqual((await inBucket('GetBucketCors')).CORSRules, [rule])
}

async function versions() {
  const Bucket = `${BUCKET}-versions`
  const of = (name, input) => call(name, { Bucket, ...input })
  await of('CreateBucket')
  await of('PutBucketVersioning', { VersioningConfiguration: { Status: 'Enabled' } })
  assert.equal((await of('GetBucketVersioning')).Status, 'Enabled')
  const first = (await of('PutObject', { Key: 'k', Body: 'first' })).VersionId
  const second = (await of('PutObject', { Key: 'k', Body: 'second' })).VersionId
  assert.equal((await bytes(await of('GetObject', { Key: 'k', VersionId: first }))).toString(), 'first')
  const marker = await of('DeleteObject', { Key: 'k' })
  assert.ok(marker.DeleteMarker && marker.VersionId)
  await refused(404, 'NoSuchKey', of('GetObject', { Key: 'k' }), sdk.NoSuchKey)
  await refused(405, 'MethodNotAllowed', of('GetObject', { Key: 'k', VersionId: marker.VersionId }))
  const listed = await of('ListObjectVersions')
  assert.deepEqual(listed.Versions.map((each) => each.VersionId), [second, first])
  assert.deepEqual(listed.DeleteMarkers.map((each) => [each.VersionId, each.IsLatest]), [[marker.VersionId, true]])
  await refused(409, 'BucketNotEmpty', of('DeleteBucket'))
  const Objects = [first, second, marker.VersionId].map((VersionId) => ({ Key: 'k', VersionId }))
  assert.equal((await of('DeleteObjects', { Delete: { Objects } })).Deleted.length, 3)
  await of('DeleteBucket')
}

async function strangers() {
  const credentials = { accessKeyId: s3.accessKey, secretAccessKey: 'x'.repeat(40) }
  await refused(403, 'SignatureDoesNotMatch', call('ListBuckets', {}, client({ credentials })))
  const unknown = { accessKeyId: 'AKIANOBODYKNOWSTHIS0', secretAccessKey: s3.secretKey }
  await refused(403, 'InvalidAccessKeyId', call('ListBuckets', {}, client({ credentials: unknown })))
  const unsigned = client({ signer: { sign: async (request) => request } })
  await refused(403, 'AccessDenied', call('GetObject', { Bucket: BUCKET, Key: 'objects/1' }, unsigned))
  await call('ListBuckets', {}, client({ region: 'eu-west-9' }))
}

async function deletes() {
  for await (const page of sdk.paginateListObjectsV2({ client: c, pageSize: 7 }, { Bucket: BUCKET })) {
    const Objects = page.Contents.map(({ Key }) => ({ Key }))
    const gone = await inBucket('DeleteObjects', { Delete: { Objects } })
    assert.deepEqual(gone.Deleted.map((each) => each.Key).sort(), Objects.map((each) => each.Key).sort())
  }
  await inBucket('DeleteBucket')
  await sdk.waitUntilBucketNotExists({ client: c, maxWaitTime: 60 }, { Bucket: BUCKET })
}

s3.runAll([buckets, objects, checksums, uploads, lists, conditions, presigned, tags, versions, strangers, deletes])
