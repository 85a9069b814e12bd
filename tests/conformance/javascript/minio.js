// minio-js: what CloudStack's bucket browser calls, and the rest that people use it for.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const minio = require('minio')
const s3 = require('./s3.js')

const BUCKET = process.env.S3_BUCKET ?? 'minio-js'

function client(options) {
  return new minio.Client({
    endPoint: s3.endpoint.hostname,
    port: Number(s3.endpoint.port),
    useSSL: s3.endpoint.protocol === 'https:',
    accessKey: s3.accessKey,
    secretKey: s3.secretKey,
    pathStyle: s3.pathStyle,
    partSize: 5 * s3.MIB,
    // A second attempt would hide a failure.
    retryOptions: { disableRetry: true },
    ...options,
  })
}

const c = client()

async function refused(code, call) {
  await assert.rejects(call, (error) => {
    assert.equal(error.code, code, `${error.code} instead of ${code}: ${error}`)
    return true
  })
}

const read = async (key, options) => s3.bytesOf(await c.getObject(BUCKET, key, options))

async function buckets() {
  assert.equal(await c.bucketExists(BUCKET), false)
  await c.makeBucket(BUCKET)
  assert.equal(await c.bucketExists(BUCKET), true)
  assert.ok((await c.listBuckets()).some((each) => each.name === BUCKET))
  await refused('NoSuchBucket', () => c.removeBucket('nobody-made-this-one'))
}

async function objects() {
  for (const size of [0, 1, 70_000, 6 * s3.MIB]) {
    const body = s3.content(size)
    const sent = { 'Content-Type': 'image/x-test', 'X-Amz-Meta-Origin': 'minio js', colour: 'blue' }
    const put = await c.putObject(BUCKET, `objects/${size}`, body, size, sent)
    s3.same(await read(`objects/${size}`), body, `${size}`)
    const stat = await c.statObject(BUCKET, `objects/${size}`)
    assert.equal(stat.size, size)
    assert.equal(stat.etag, put.etag)
    assert.ok(Date.now() - stat.lastModified < 600_000)
    const { 'content-type': type, origin, colour } = stat.metaData
    assert.deepEqual([type, origin, colour], ['image/x-test', 'minio js', 'blue'])
  }
  // A stream of unknown length, and a file.
  const large = s3.content(11 * s3.MIB + 17, 1)
  fs.writeFileSync('large', large)
  const put = await c.putObject(BUCKET, 'objects/streamed', fs.createReadStream('large'))
  assert.ok(put.etag.endsWith('-3'), put.etag)
  s3.same(await read('objects/streamed'), large, 'streamed')
  await c.fPutObject(BUCKET, 'objects/file', 'large', { 'Content-Type': 'application/x-file' })
  await c.fGetObject(BUCKET, 'objects/file', 'back')
  s3.same(fs.readFileSync('back'), large, 'file')
  for (const [offset, length] of [[0, 1], [5 * s3.MIB - 3, 7], [large.length - 4, 0], [0, 0]]) {
    const part = await s3.bytesOf(await c.getPartialObject(BUCKET, 'objects/file', offset, length))
    s3.same(part, large.subarray(offset, length ? offset + length : undefined), `${offset} ${length}`)
  }
  await refused('InvalidRange', () => c.getPartialObject(BUCKET, 'objects/1', 99))
  await refused('NoSuchKey', () => c.getObject(BUCKET, 'objects/missing'))
  await refused('NotFound', () => c.statObject(BUCKET, 'objects/missing'))
  await refused('NoSuchBucket', () => c.getObject('nobody-made-this-one', 'x'))
}

async function names() {
  for (const key of s3.UNUSUAL_KEYS) {
    await c.putObject(BUCKET, key, key)
    assert.equal((await read(key)).toString(), key)
    await c.statObject(BUCKET, key)
  }
  for (const list of [c.listObjects(BUCKET, 'names/', true), c.listObjectsV2(BUCKET, 'names/', true)]) {
    assert.deepEqual((await s3.allOf(list)).map((each) => each.name), s3.UNUSUAL_KEYS)
  }
}

// More than the pages of 1000 that the client asks for, so that it continues; the browser goes on by the last name instead.
async function pages() {
  const keys = Array.from({ length: 1005 }, (_, number) => `pages/${String(number).padStart(4, '0')} ä+`)
  for (let at = 0; at < keys.length; at += 50) {
    await Promise.all(keys.slice(at, at + 50).map((key) => c.putObject(BUCKET, key, key)))
  }
  for (const list of [c.listObjects(BUCKET, 'pages/', true), c.listObjectsV2(BUCKET, 'pages/', true)]) {
    assert.deepEqual((await s3.allOf(list)).map((each) => each.name), keys)
  }
  const rest = await s3.allOf(c.listObjectsV2(BUCKET, 'pages/', true, keys[999]))
  assert.deepEqual(rest.map((each) => each.name), keys.slice(1000))
  const folders = await s3.allOf(c.listObjectsV2(BUCKET, '', false))
  assert.deepEqual(folders.map((each) => each.prefix), ['names/', 'objects/', 'pages/'])
  assert.deepEqual(await c.removeObjects(BUCKET, keys), [])
  assert.deepEqual(await s3.allOf(c.listObjectsV2(BUCKET, 'pages/', true)), [])
}

// What the bucket browser shows of a folder: names, sizes, and what stands beside the objects, without asking for each.
async function browser() {
  await c.putObject(BUCKET, 'browser/ä b+.png', 'picture', 7, { 'Content-Type': 'image/png', Colour: 'light <blue>' })
  await c.setObjectTagging(BUCKET, 'browser/ä b+.png', { kind: 'picture' })
  await c.putObject(BUCKET, 'browser/deeper/plain', 'x')
  const [picture, folder, ...rest] = await s3.allOf(c.extensions.listObjectsV2WithMetadata(BUCKET, 'browser/', false, ''))
  assert.deepEqual(rest, [])
  assert.deepEqual([picture.name, picture.size, picture.tags], ['browser/ä b+.png', 7, { kind: 'picture' }])
  assert.equal(picture.metadata['X-Amz-Meta-Colour'], 'light <blue>')
  assert.equal(picture.metadata['content-type'], 'image/png')
  assert.equal(folder.prefix, 'browser/deeper/')
  const after = await s3.allOf(c.extensions.listObjectsV2WithMetadata(BUCKET, 'browser/', true, 'browser/ä'))
  assert.deepEqual(after.map((each) => each.name), ['browser/ä b+.png'])
}

async function copies() {
  const conditions = new minio.CopyConditions()
  const { etag } = await c.statObject(BUCKET, 'objects/70000')
  conditions.setMatchETag(etag)
  await c.copyObject(BUCKET, 'copies/ä +', `/${BUCKET}/objects/70000`, conditions)
  s3.same(await read('copies/ä +'), s3.content(70_000), 'copied')
  conditions.setMatchETag('00000000000000000000000000000000')
  await refused('PreconditionFailed', () => c.copyObject(BUCKET, 'copies/x', `/${BUCKET}/objects/70000`, conditions))
  // As the browser does to change what stands beside an object.
  const source = new minio.CopySourceOptions({ Bucket: BUCKET, Object: 'copies/ä +' })
  const changed = { Bucket: BUCKET, Object: 'copies/ä +', UserMetadata: { colour: 'red' }, MetadataDirective: 'REPLACE' }
  await c.copyObject(source, new minio.CopyDestinationOptions(changed))
  const { metaData } = await c.statObject(BUCKET, 'copies/ä +')
  assert.deepEqual([metaData.colour, metaData.origin], ['red', undefined])
  // An object out of two, by copies of parts.
  const sources = ['objects/file', 'objects/70000'].map((key) => new minio.CopySourceOptions({ Bucket: BUCKET, Object: key }))
  await c.composeObject(new minio.CopyDestinationOptions({ Bucket: BUCKET, Object: 'copies/composed' }), sources)
  const both = Buffer.concat([s3.content(11 * s3.MIB + 17, 1), s3.content(70_000)])
  s3.same(await read('copies/composed'), both, 'composed')
}

async function uploads() {
  const id = await c.initiateNewMultipartUpload(BUCKET, 'uploads/ä +', { 'Content-Type': 'text/plain' })
  const part = { bucketName: BUCKET, objectName: 'uploads/ä +', uploadID: id, partNumber: 1, headers: {} }
  await c.uploadPart(part, Buffer.from('begun'))
  const [open] = await s3.allOf(c.listIncompleteUploads(BUCKET, 'uploads/', true))
  assert.deepEqual([open.key, open.uploadId, open.size], ['uploads/ä +', id, 5])
  const [folder] = await s3.allOf(c.listIncompleteUploads(BUCKET, '', false))
  assert.equal(folder.prefix, 'uploads/')
  await c.removeIncompleteUpload(BUCKET, 'uploads/ä +')
  assert.deepEqual(await s3.allOf(c.listIncompleteUploads(BUCKET, '', true)), [])
}

async function presigned() {
  const [key] = s3.UNUSUAL_KEYS.filter((each) => each.includes('%41'))
  const get = await c.presignedGetObject(BUCKET, key, 60, { 'response-content-type': 'text/x-asked' })
  const answer = await fetch(get)
  assert.equal(await answer.text(), key)
  assert.equal(answer.headers.get('content-type'), 'text/x-asked')
  assert.equal((await fetch(get.replace(/.(?=&|$)/, (last) => (last === '0' ? '1' : '0')))).status, 403)
  const put = await c.presignedPutObject(BUCKET, 'presigned/ä +', 60)
  assert.equal((await fetch(put, { method: 'PUT', body: 'presigned' })).status, 200)
  assert.equal((await read('presigned/ä +')).toString(), 'presigned')

  const policy = c.newPostPolicy()
  policy.setBucket(BUCKET)
  policy.setKey('presigned/form')
  policy.setExpires(new Date(Date.now() + 60_000))
  policy.setContentType('text/x-form')
  policy.setContentLengthRange(1, 100_000)
  policy.setUserMetaData({ colour: 'green' })
  const { postURL, formData } = await c.presignedPostPolicy(policy)
  const bytes = s3.content(90_000, 3)
  assert.equal((await s3.sendForm(postURL, formData, bytes)).status, 204)
  s3.same(await read('presigned/form'), bytes, 'form')
  const { metaData } = await c.statObject(BUCKET, 'presigned/form')
  assert.deepEqual([metaData['content-type'], metaData.colour], ['text/x-form', 'green'])
  assert.equal((await s3.sendForm(postURL, formData, s3.content(100_001))).status, 400)
  assert.equal((await s3.sendForm(postURL, { ...formData, key: 'presigned/other' }, bytes)).status, 403)
}

async function settings() {
  await c.setObjectTagging(BUCKET, 'objects/1', { kind: 'small one', 'a/b': '+=' })
  const tags = await c.getObjectTagging(BUCKET, 'objects/1')
  assert.deepEqual(Object.fromEntries(tags.map((tag) => [tag.Key, tag.Value])), { kind: 'small one', 'a/b': '+=' })
  await c.removeObjectTagging(BUCKET, 'objects/1')
  assert.deepEqual(await c.getObjectTagging(BUCKET, 'objects/1'), [])
  await c.setBucketTagging(BUCKET, { owner: 'ada' })
  assert.deepEqual(await c.getBucketTagging(BUCKET), [{ Key: 'owner', Value: 'ada' }])
  await c.removeBucketTagging(BUCKET)
  await refused('NoSuchTagSet', () => c.getBucketTagging(BUCKET))

  await refused('NoSuchBucketPolicy', () => c.getBucketPolicy(BUCKET))
  const open = { Effect: 'Allow', Principal: '*', Action: ['s3:GetObject'], Resource: [`arn:aws:s3:::${BUCKET}/objects/*`] }
  const policy = JSON.stringify({ Version: '2012-10-17', Statement: [open] })
  await c.setBucketPolicy(BUCKET, policy)
  assert.equal(await c.getBucketPolicy(BUCKET), policy)
  const nobody = client({ accessKey: undefined, secretKey: undefined, region: 'us-east-1' })
  s3.same(await s3.bytesOf(await nobody.getObject(BUCKET, 'objects/1')), s3.content(1), 'for everybody')
  await refused('AccessDenied', () => nobody.getObject(BUCKET, 'copies/composed'))
  await c.setBucketPolicy(BUCKET, '')
  await refused('AccessDenied', () => nobody.getObject(BUCKET, 'objects/1'))

  await c.setBucketLifecycle(BUCKET, {
    Rule: [{ ID: 'old', Status: 'Enabled', Filter: { Prefix: 'old/' }, Expiration: { Days: 30 } }],
  })
  const { Rule: rule } = await c.getBucketLifecycle(BUCKET)
  assert.deepEqual([rule].flat().map((each) => [each.ID, each.Expiration.Days]), [['old', 30]])
  await c.removeBucketLifecycle(BUCKET)
}

async function versions() {
  const bucket = `${BUCKET}-versions`
  await c.makeBucket(bucket)
  assert.notEqual((await c.getBucketVersioning(bucket)).Status, 'Enabled')
  await c.setBucketVersioning(bucket, { Status: 'Enabled' })
  assert.equal((await c.getBucketVersioning(bucket)).Status, 'Enabled')
  const first = await c.putObject(bucket, 'k', 'first')
  const second = await c.putObject(bucket, 'k', 'second')
  assert.ok(first.versionId && second.versionId && first.versionId !== second.versionId)
  const old = await c.getObject(bucket, 'k', { versionId: first.versionId })
  assert.equal((await s3.bytesOf(old)).toString(), 'first')
  assert.equal((await c.statObject(bucket, 'k', { versionId: first.versionId })).versionId, first.versionId)
  await c.removeObject(bucket, 'k')
  await refused('NoSuchKey', () => c.getObject(bucket, 'k'))
  const listed = await s3.allOf(c.listObjects(bucket, '', true, { IncludeVersion: true }))
  assert.equal(listed.length, 3)
  const markers = listed.filter((each) => each.isDeleteMarker).map((each) => each.versionId)
  assert.deepEqual(listed.map((each) => each.versionId).sort(), [first.versionId, second.versionId, ...markers].sort())
  await refused('BucketNotEmpty', () => c.removeBucket(bucket))
  const gone = await c.removeObjects(bucket, listed.map(({ name, versionId }) => ({ name, versionId })))
  assert.deepEqual(gone, [])
  await c.removeBucket(bucket)
}

async function locks() {
  const bucket = `${BUCKET}-locks`
  await c.makeBucket(bucket, 'us-east-1', { ObjectLocking: true })
  const { versionId } = await c.putObject(bucket, 'k', 'locked')
  const until = new Date(Date.now() + 86_400_000)
  await c.putObjectRetention(bucket, 'k', { mode: 'GOVERNANCE', retainUntilDate: until.toISOString(), versionId })
  assert.equal((await c.getObjectRetention(bucket, 'k', { versionId })).mode, 'GOVERNANCE')
  await refused('AccessDenied', () => c.removeObject(bucket, 'k', { versionId }))
  await c.setObjectLegalHold(bucket, 'k', { status: 'ON', versionId })
  assert.equal((await c.getObjectLegalHold(bucket, 'k', { versionId })).Status, 'ON')
  await refused('AccessDenied', () => c.removeObject(bucket, 'k', { versionId, governanceBypass: true }))
  await c.setObjectLegalHold(bucket, 'k', { status: 'OFF', versionId })
  await c.removeObject(bucket, 'k', { versionId, governanceBypass: true })
  await c.setObjectLockConfig(bucket, { mode: 'COMPLIANCE', unit: 'Days', validity: 2 })
  assert.deepEqual(await c.getObjectLockConfig(bucket), {
    objectLockEnabled: 'Enabled',
    mode: 'COMPLIANCE',
    unit: 'Days',
    validity: 2,
  })
  await c.removeBucket(bucket)
}

async function strangers() {
  await refused('SignatureDoesNotMatch', () => client({ secretKey: 'x'.repeat(40) }).listBuckets())
  await refused('InvalidAccessKeyId', () => client({ accessKey: 'AKIANOBODYKNOWSTHIS0' }).listBuckets())
  // The browser signs for whatever region it was told.
  await client({ region: 'auto' }).listBuckets()
}

// Folders go as the browser removes them: everything below is listed, then deleted by its names.
async function deletes() {
  await refused('BucketNotEmpty', () => c.removeBucket(BUCKET))
  await c.removeObject(BUCKET, 'never/there')
  const listed = await s3.allOf(c.listObjectsV2(BUCKET, '', true, ''))
  assert.ok(listed.length > 10)
  assert.deepEqual(await c.removeObjects(BUCKET, listed.map((each) => each.name)), [])
  await c.removeBucket(BUCKET)
  assert.equal(await c.bucketExists(BUCKET), false)
}

s3.runAll([buckets, objects, names, pages, browser, copies, uploads, presigned, settings, versions, locks, strangers, deletes])
