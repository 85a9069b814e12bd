package cloudhold;

import com.amazonaws.services.s3.AmazonS3;
import com.amazonaws.services.s3.model.AmazonS3Exception;
import com.amazonaws.services.s3.model.CopyObjectRequest;
import com.amazonaws.services.s3.model.GetObjectMetadataRequest;
import com.amazonaws.services.s3.model.GetObjectRequest;
import com.amazonaws.services.s3.model.ObjectMetadata;
import com.amazonaws.services.s3.model.PutObjectRequest;
import com.amazonaws.services.s3.model.S3Object;
import com.amazonaws.services.s3.model.SSEAlgorithm;
import com.amazonaws.services.s3.model.SSEAwsKeyManagementParams;
import com.amazonaws.services.s3.model.SSECustomerKey;
import com.amazonaws.services.s3.model.ServerSideEncryptionByDefault;
import com.amazonaws.services.s3.model.ServerSideEncryptionConfiguration;
import com.amazonaws.services.s3.model.ServerSideEncryptionRule;
import com.amazonaws.services.s3.model.SetBucketEncryptionRequest;
import com.amazonaws.services.s3.transfer.TransferManager;
import com.amazonaws.services.s3.transfer.TransferManagerBuilder;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.Arrays;

/**
 * Each kind of encryption. The SDK sends a customer's key over TLS only. All bodies hold a mark that the test looks for among the files
 * of the store: SEALED where it must not be found, OPEN where it must.
 */
final class Encryption {
    private static final String BUCKET = "sealed";
    private static final int PART_BYTES = 5 << 20;
    private static final String KMS_KEY = System.getenv("KMS_KEY");

    private final AmazonS3 s3;
    private final SSECustomerKey own = key();
    private final SSECustomerKey other = key();

    private Encryption(AmazonS3 s3) {
        this.s3 = s3;
    }

    static void run(AmazonS3 s3) throws Exception {
        Encryption encryption = new Encryption(s3);
        s3.createBucket(BUCKET);
        encryption.customerKeys();
        encryption.copies();
        encryption.transfers();
        encryption.storeKeys();
        encryption.defaults();
    }

    private static SSECustomerKey key() {
        byte[] key = new byte[32];
        new SecureRandom().nextBytes(key);
        return new SSECustomerKey(key);
    }

    /** Content with the mark somewhere inside. */
    private static byte[] marked(int sizeBytes) {
        byte[] content = RoundTrip.random(sizeBytes);
        byte[] mark = System.getenv("SEALED").getBytes(StandardCharsets.UTF_8);
        System.arraycopy(mark, 0, content, sizeBytes / 2, mark.length);
        return content;
    }

    private static PutObjectRequest put(String key, byte[] body) {
        ObjectMetadata known = new ObjectMetadata();
        known.setContentLength(body.length);
        return new PutObjectRequest(BUCKET, key, new ByteArrayInputStream(body), known);
    }

    private static GetObjectRequest get(String key) {
        return new GetObjectRequest(BUCKET, key);
    }

    private byte[] read(GetObjectRequest request) throws Exception {
        try (S3Object object = s3.getObject(request)) {
            return object.getObjectContent().readAllBytes();
        }
    }

    private static void same(byte[] found, byte[] expected, String what) {
        RoundTrip.check(Arrays.equals(found, expected), what + ": the content differs");
    }

    private interface Call {
        void run() throws Exception;
    }

    private static void refused(int status, String code, Call call) throws Exception {
        try {
            call.run();
        } catch (AmazonS3Exception error) {
            RoundTrip.check(error.getStatusCode() == status && code.equals(error.getErrorCode()), code + " was expected, not " + error);
            return;
        }
        throw new AssertionError("this was not refused with " + code);
    }

    private void customerKeys() throws Exception {
        for (int size : new int[] {100, 100_000, 3 << 20}) {
            String key = "customer/" + size;
            byte[] body = marked(size);
            String md5 = s3.putObject(put(key, body).withSSECustomerKey(own)).getSSECustomerKeyMd5();
            ObjectMetadata told = s3.getObjectMetadata(new GetObjectMetadataRequest(BUCKET, key).withSSECustomerKey(own));
            RoundTrip.check("AES256".equals(told.getSSECustomerAlgorithm()), "the algorithm is " + told.getSSECustomerAlgorithm());
            RoundTrip.check(md5 != null && md5.equals(told.getSSECustomerKeyMd5()), "the MD5 of the key differs");
            same(read(get(key).withSSECustomerKey(own)), body, key);
            byte[] part = read(get(key).withSSECustomerKey(own).withRange(13, 77));
            same(part, Arrays.copyOfRange(body, 13, 78), "a range");
            refused(400, "InvalidRequest", () -> read(get(key)));
            refused(400, "InvalidRequest", () -> read(get(key).withSSECustomerKey(other)));
        }
        s3.putObject(put("open", System.getenv("OPEN").getBytes(StandardCharsets.UTF_8)));
        refused(400, "InvalidRequest", () -> read(get("open").withSSECustomerKey(own)));
    }

    private void copies() throws Exception {
        CopyObjectRequest copy = new CopyObjectRequest(BUCKET, "customer/100000", BUCKET, "copies/other");
        s3.copyObject(copy.withSourceSSECustomerKey(own).withDestinationSSECustomerKey(other));
        same(read(get("copies/other").withSSECustomerKey(other)), marked(100_000), "copied under another key");
        refused(400, "InvalidRequest", () -> read(get("copies/other").withSSECustomerKey(own)));
        CopyObjectRequest wrong = new CopyObjectRequest(BUCKET, "customer/100000", BUCKET, "copies/none");
        refused(400, "InvalidRequest", () -> s3.copyObject(wrong.withSourceSSECustomerKey(other).withDestinationSSECustomerKey(own)));
        refused(404, "NoSuchKey", () -> read(get("copies/none")));
    }

    private void transfers() throws Exception {
        byte[] body = marked(2 * PART_BYTES + 1234);
        TransferManager manager = TransferManagerBuilder.standard().withS3Client(s3)
            .withMinimumUploadPartSize((long) PART_BYTES).withMultipartUploadThreshold((long) PART_BYTES)
            .withMultipartCopyThreshold((long) PART_BYTES).withMultipartCopyPartSize((long) PART_BYTES).build();
        manager.upload(put("transfers/parts", body).withSSECustomerKey(own)).waitForCompletion();
        ObjectMetadata told = s3.getObjectMetadata(new GetObjectMetadataRequest(BUCKET, "transfers/parts").withSSECustomerKey(own));
        RoundTrip.check(told.getETag().endsWith("-3"), "three parts were expected: " + told.getETag());
        Path back = Files.createTempFile("java-v1", "");
        manager.download(get("transfers/parts").withSSECustomerKey(own), back.toFile()).waitForCompletion();
        same(Files.readAllBytes(back), body, "downloaded");
        refused(400, "InvalidRequest", () -> read(get("transfers/parts").withSSECustomerKey(other)));
        CopyObjectRequest copy = new CopyObjectRequest(BUCKET, "transfers/parts", BUCKET, "transfers/copied");
        manager.copy(copy.withSourceSSECustomerKey(own).withDestinationSSECustomerKey(other)).waitForCompletion();
        same(read(get("transfers/copied").withSSECustomerKey(other)), body, "copied in parts");
        manager.shutdownNow(false);
    }

    private void storeKeys() throws Exception {
        PutObjectRequest managed = put("store/managed", marked(100_000));
        managed.getMetadata().setSSEAlgorithm(ObjectMetadata.AES_256_SERVER_SIDE_ENCRYPTION);
        s3.putObject(managed);
        told("store/managed", "AES256", null);
        s3.putObject(put("store/named", marked(100_000)).withSSEAwsKeyManagementParams(new SSEAwsKeyManagementParams(KMS_KEY)));
        told("store/named", "aws:kms", KMS_KEY);
        refused(400, "KMS.NotFoundException", () -> s3.putObject(
            put("store/unknown", marked(1000)).withSSEAwsKeyManagementParams(new SSEAwsKeyManagementParams("nobody-made-this-key"))
        ));
        refused(404, "NoSuchKey", () -> read(get("store/unknown")));
    }

    private void told(String key, String algorithm, String kmsKey) throws Exception {
        ObjectMetadata told = s3.getObjectMetadata(BUCKET, key);
        RoundTrip.check(algorithm.equals(told.getSSEAlgorithm()), key + " is under " + told.getSSEAlgorithm());
        RoundTrip.check(kmsKey == null || kmsKey.equals(told.getSSEAwsKmsKeyId()), key + " is under " + told.getSSEAwsKmsKeyId());
        same(read(get(key)), marked(100_000), key);
    }

    private void defaults() throws Exception {
        refused(404, "ServerSideEncryptionConfigurationNotFoundError", () -> s3.getBucketEncryption(BUCKET));
        ServerSideEncryptionByDefault named = new ServerSideEncryptionByDefault();
        named.withSSEAlgorithm(SSEAlgorithm.KMS.getAlgorithm()).withKMSMasterKeyID(KMS_KEY);
        ServerSideEncryptionConfiguration wanted = new ServerSideEncryptionConfiguration()
            .withRules(new ServerSideEncryptionRule().withApplyServerSideEncryptionByDefault(named));
        s3.setBucketEncryption(new SetBucketEncryptionRequest().withBucketName(BUCKET).withServerSideEncryptionConfiguration(wanted));
        ServerSideEncryptionByDefault kept = s3.getBucketEncryption(BUCKET).getServerSideEncryptionConfiguration()
            .getRules().get(0).getApplyServerSideEncryptionByDefault();
        RoundTrip.check(KMS_KEY.equals(kept.getKMSMasterKeyID()), "the default is " + kept.getKMSMasterKeyID());
        s3.putObject(put("defaults/named", marked(100_000)));
        told("defaults/named", "aws:kms", KMS_KEY);
        s3.deleteBucketEncryption(BUCKET);
    }
}
