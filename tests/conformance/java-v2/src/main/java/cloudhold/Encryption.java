package cloudhold;

import static cloudhold.Store.PART_BYTES;
import static cloudhold.Store.check;
import static cloudhold.Store.content;
import static cloudhold.Store.equal;
import static cloudhold.Store.refused;
import static cloudhold.Store.same;

import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import software.amazon.awssdk.core.async.AsyncRequestBody;
import software.amazon.awssdk.core.async.AsyncResponseTransformer;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.services.s3.S3AsyncClient;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.GetObjectRequest;
import software.amazon.awssdk.services.s3.model.HeadObjectResponse;
import software.amazon.awssdk.services.s3.model.NoSuchKeyException;
import software.amazon.awssdk.services.s3.model.PutObjectRequest;
import software.amazon.awssdk.services.s3.model.ServerSideEncryption;
import software.amazon.awssdk.services.s3.model.ServerSideEncryptionByDefault;
import software.amazon.awssdk.services.s3.model.ServerSideEncryptionRule;
import software.amazon.awssdk.transfer.s3.S3TransferManager;

/**
 * Each kind of encryption. All bodies hold a mark that the test looks for among the files of the store: SEALED where it must not be
 * found, OPEN where it must.
 */
final class Encryption {
    private static final String BUCKET = "sealed";
    private static final byte[] SEALED = mark("SEALED");
    private static final byte[] OPEN = mark("OPEN");
    private static final String KMS_KEY = System.getenv("KMS_KEY");

    private final S3Client s3 = Store.blocking();
    private final CustomerKey own = CustomerKey.random();
    private final CustomerKey other = CustomerKey.random();

    /** A key as the headers have it. */
    record CustomerKey(String key, String md5) {
        static CustomerKey random() {
            byte[] key = new byte[32];
            new SecureRandom().nextBytes(key);
            try {
                byte[] sum = MessageDigest.getInstance("MD5").digest(key);
                return new CustomerKey(Base64.getEncoder().encodeToString(key), Base64.getEncoder().encodeToString(sum));
            } catch (java.security.NoSuchAlgorithmException error) {
                throw new AssertionError(error);
            }
        }

        void of(PutObjectRequest.Builder request) {
            request.sseCustomerAlgorithm("AES256").sseCustomerKey(key).sseCustomerKeyMD5(md5);
        }

        void of(GetObjectRequest.Builder request) {
            request.sseCustomerAlgorithm("AES256").sseCustomerKey(key).sseCustomerKeyMD5(md5);
        }
    }

    static void run() throws Exception {
        Encryption encryption = new Encryption();
        encryption.s3.createBucket(each -> each.bucket(BUCKET));
        encryption.customerKeys();
        encryption.copies();
        encryption.transfers();
        encryption.storeKeys();
        encryption.defaults();
    }

    private static byte[] mark(String name) {
        String mark = System.getenv(name);
        return mark == null ? new byte[0] : mark.getBytes(StandardCharsets.UTF_8);
    }

    /** Content with the mark somewhere inside. */
    private static byte[] marked(int sizeBytes) {
        byte[] content = content(sizeBytes);
        System.arraycopy(SEALED, 0, content, sizeBytes / 2, SEALED.length);
        return content;
    }

    private byte[] read(String key, CustomerKey shown) {
        return s3.getObjectAsBytes(each -> {
            each.bucket(BUCKET).key(key);
            if (shown != null) {
                shown.of(each);
            }
        }).asByteArrayUnsafe();
    }

    private byte[] read(String key, CustomerKey shown, String range) {
        return s3.getObjectAsBytes(each -> shown.of(each.bucket(BUCKET).key(key).range(range))).asByteArrayUnsafe();
    }

    private HeadObjectResponse head(String key, CustomerKey shown) {
        return s3.headObject(each -> {
            each.bucket(BUCKET).key(key);
            if (shown != null) {
                each.sseCustomerAlgorithm("AES256").sseCustomerKey(shown.key).sseCustomerKeyMD5(shown.md5);
            }
        });
    }

    private void customerKeys() {
        for (int size : new int[] {100, 100_000, 3 << 20}) {
            String key = "customer/" + size;
            byte[] body = marked(size);
            var sent = s3.putObject(each -> own.of(each.bucket(BUCKET).key(key)), RequestBody.fromBytes(body));
            equal(sent.sseCustomerAlgorithm(), "AES256", "algorithm");
            equal(sent.sseCustomerKeyMD5(), own.md5, "MD5 of the key");
            HeadObjectResponse told = head(key, own);
            equal(told.sseCustomerAlgorithm(), "AES256", "algorithm");
            equal(told.contentLength(), (long) size, "size");
            same(read(key, own), body, key);
            same(read(key, own, "bytes=13-77"), Arrays.copyOfRange(body, 13, 78), "a range");
            refused(400, "InvalidRequest", () -> read(key, null));
            refused(400, "InvalidRequest", () -> read(key, other));
            refused(400, "InvalidRequest", () -> head(key, other));
        }
        s3.putObject(each -> each.bucket(BUCKET).key("open"), RequestBody.fromBytes(OPEN));
        refused(400, "InvalidRequest", () -> read("open", own));
    }

    private void copies() {
        var copied = s3.copyObject(each -> each.sourceBucket(BUCKET).sourceKey("customer/100000").destinationBucket(BUCKET)
            .destinationKey("copies/other")
            .copySourceSSECustomerAlgorithm("AES256").copySourceSSECustomerKey(own.key).copySourceSSECustomerKeyMD5(own.md5)
            .sseCustomerAlgorithm("AES256").sseCustomerKey(other.key).sseCustomerKeyMD5(other.md5));
        equal(copied.sseCustomerKeyMD5(), other.md5, "MD5 of the copy's key");
        same(read("copies/other", other), marked(100_000), "copied under another key");
        refused(400, "InvalidRequest", () -> read("copies/other", own));
        var managed = s3.copyObject(each -> each.sourceBucket(BUCKET).sourceKey("customer/100000").destinationBucket(BUCKET)
            .destinationKey("copies/managed").serverSideEncryption(ServerSideEncryption.AES256)
            .copySourceSSECustomerAlgorithm("AES256").copySourceSSECustomerKey(own.key).copySourceSSECustomerKeyMD5(own.md5));
        equal(managed.serverSideEncryption(), ServerSideEncryption.AES256, "encryption of the copy");
        same(read("copies/managed", null), marked(100_000), "copied under a key of the store");
        refused(400, "InvalidRequest", () -> s3.copyObject(each -> each.sourceBucket(BUCKET).sourceKey("customer/100000")
            .destinationBucket(BUCKET).destinationKey("copies/none")
            .copySourceSSECustomerAlgorithm("AES256").copySourceSSECustomerKey(other.key).copySourceSSECustomerKeyMD5(other.md5)));
        refused(404, "NoSuchKey", NoSuchKeyException.class, () -> read("copies/none", null));
    }

    /** In parts by the asynchronous client, which also copies so, and by the transfer manager. */
    private void transfers() throws Exception {
        byte[] body = marked(2 * PART_BYTES + 1234);
        try (S3AsyncClient async = Store.async(); S3TransferManager manager = S3TransferManager.builder().s3Client(async).build()) {
            async.putObject(each -> own.of(each.bucket(BUCKET).key("transfers/parts")), AsyncRequestBody.fromBytes(body)).join();
            ExecutorService executor = Executors.newSingleThreadExecutor();
            AsyncRequestBody stream = AsyncRequestBody.fromInputStream(
                each -> each.inputStream(new ByteArrayInputStream(body)).executor(executor)
            );
            async.putObject(each -> own.of(each.bucket(BUCKET).key("transfers/streamed")), stream).join();
            executor.shutdown();
            Path file = Files.createTempFile("java-v2", "");
            Files.write(file, body);
            manager.uploadFile(each -> each.source(file).putObjectRequest(put -> own.of(put.bucket(BUCKET).key("transfers/file"))))
                .completionFuture().join();
            for (String key : List.of("transfers/parts", "transfers/streamed", "transfers/file")) {
                HeadObjectResponse told = head(key, own);
                check(told.eTag().endsWith("-3\""), "three parts were expected: " + told.eTag());
                equal(told.sseCustomerKeyMD5(), own.md5, "MD5 of the key");
                byte[] came = async.getObject(each -> own.of(each.bucket(BUCKET).key(key)), AsyncResponseTransformer.toBytes()).join()
                    .asByteArrayUnsafe();
                same(came, body, key);
                String edge = "bytes=" + (PART_BYTES - 5) + "-" + (PART_BYTES + 4);
                same(read(key, own, edge), Arrays.copyOfRange(body, PART_BYTES - 5, PART_BYTES + 5), "a range over two parts");
                refused(400, "InvalidRequest", () -> read(key, other));
            }
            Files.delete(file);
            manager.downloadFile(each -> each.destination(file).getObjectRequest(get -> own.of(get.bucket(BUCKET).key("transfers/file"))))
                .completionFuture().join();
            same(Files.readAllBytes(file), body, "a file");
            async.copyObject(each -> each.sourceBucket(BUCKET).sourceKey("transfers/parts").destinationBucket(BUCKET)
                .destinationKey("transfers/copied")
                .copySourceSSECustomerAlgorithm("AES256").copySourceSSECustomerKey(own.key).copySourceSSECustomerKeyMD5(own.md5)
                .sseCustomerAlgorithm("AES256").sseCustomerKey(other.key).sseCustomerKeyMD5(other.md5)).join();
            same(read("transfers/copied", other), body, "copied in parts");
        }
    }

    private void storeKeys() {
        for (String way : List.of("AES256", "aws:kms aws/s3", "aws:kms " + KMS_KEY)) {
            String[] parts = way.split(" ");
            String key = "store/" + way;
            s3.putObject(each -> {
                each.bucket(BUCKET).key(key).serverSideEncryption(parts[0]);
                if (way.endsWith(KMS_KEY)) {
                    each.ssekmsKeyId(KMS_KEY);
                }
            }, RequestBody.fromBytes(marked(100_000)));
            HeadObjectResponse told = head(key, null);
            equal(told.serverSideEncryptionAsString(), parts[0], "encryption");
            equal(String.valueOf(told.ssekmsKeyId()), parts.length > 1 ? parts[1] : "null", "key");
            same(read(key, null), marked(100_000), key);
        }
        refused(400, "KMS.NotFoundException", () -> s3.putObject(
            each -> each.bucket(BUCKET).key("store/unknown").serverSideEncryption("aws:kms").ssekmsKeyId("nobody-made-this-key"),
            RequestBody.fromBytes(SEALED)
        ));
        refused(404, "NoSuchKey", NoSuchKeyException.class, () -> head("store/unknown", null));
    }

    private void defaults() {
        refused(404, "ServerSideEncryptionConfigurationNotFoundError", () -> s3.getBucketEncryption(each -> each.bucket(BUCKET)));
        List<ServerSideEncryptionByDefault> ways = List.of(
            ServerSideEncryptionByDefault.builder().sseAlgorithm("AES256").build(),
            ServerSideEncryptionByDefault.builder().sseAlgorithm("aws:kms").kmsMasterKeyID(KMS_KEY).build()
        );
        for (ServerSideEncryptionByDefault way : ways) {
            ServerSideEncryptionRule rule = ServerSideEncryptionRule.builder()
                .applyServerSideEncryptionByDefault(way).bucketKeyEnabled(false).build();
            s3.putBucketEncryption(each -> each.bucket(BUCKET).serverSideEncryptionConfiguration(to -> to.rules(rule)));
            var kept = s3.getBucketEncryption(each -> each.bucket(BUCKET)).serverSideEncryptionConfiguration().rules();
            equal(kept, List.of(rule), "rules");
            String key = "defaults/" + way.sseAlgorithmAsString();
            s3.putObject(each -> each.bucket(BUCKET).key(key), RequestBody.fromBytes(marked(10_000)));
            HeadObjectResponse told = head(key, null);
            equal(told.serverSideEncryptionAsString(), way.sseAlgorithmAsString(), "encryption");
            equal(String.valueOf(told.ssekmsKeyId()), String.valueOf(way.kmsMasterKeyID()), "key");
            same(read(key, null), marked(10_000), key);
        }
        s3.deleteBucketEncryption(each -> each.bucket(BUCKET));
        var open = s3.putObject(each -> each.bucket(BUCKET).key("open again"), RequestBody.fromBytes(OPEN));
        check(open.serverSideEncryption() == null, "encryption without a default: " + open);
    }
}
