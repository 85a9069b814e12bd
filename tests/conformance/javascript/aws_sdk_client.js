// What the scripts of the AWS SDK for JavaScript v3 share: a client, its calls, and the errors that are expected of them.
'use strict'

const assert = require('node:assert/strict')
const sdk = require('@aws-sdk/client-s3')
const s3 = require('./s3.js')

function client(options) {
  return new sdk.S3Client({
    endpoint: s3.endpoint.href,
    region: 'us-east-1',
    forcePathStyle: s3.pathStyle,
    credentials: { accessKeyId: s3.accessKey, secretAccessKey: s3.secretKey },
    // A second attempt would hide a failure.
    maxAttempts: 1,
    ...options,
  })
}

const c = client()

// Sends a command, named as in the SDK and without its ending.
const call = (name, input, by = c) => by.send(new sdk[`${name}Command`](input))
const bytes = async (answer) => Buffer.from(await answer.Body.transformToByteArray())

// The call must fail with that status, as that error; `type` is its class, where the SDK has one.
async function refused(status, name, promise, type = sdk.S3ServiceException) {
  await assert.rejects(promise, (error) => {
    assert.deepEqual([error.$metadata?.httpStatusCode, error.name], [status, name], `${error.stack}`)
    assert.ok(error instanceof type, `${error.name} is no ${type.name}`)
    return true
  })
}

module.exports = { c, client, call, bytes, refused }
