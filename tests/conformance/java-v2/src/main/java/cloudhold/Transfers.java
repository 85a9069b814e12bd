package cloudhold;

import static cloudhold.Store.PART_BYTES;
import static cloudhold.Store.check;
import static cloudhold.Store.content;
import static cloudhold.Store.equal;
import static cloudhold.Store.same;

import java.io.ByteArrayInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import software.amazon.awssdk.core.async.AsyncRequestBody;
import software.amazon.awssdk.core.async.AsyncResponseTransformer;
import software.amazon.awssdk.services.s3.S3AsyncClient;
import software.amazon.awssdk.services.s3.model.ChecksumAlgorithm;
import software.amazon.awssdk.services.s3.model.ChecksumMode;
import software.amazon.awssdk.services.s3.model.PutObjectResponse;
import software.amazon.awssdk.transfer.s3.S3TransferManager;

/** Large objects by the asynchronous client and the transfer manager: in parts up, in parts down, and whole folders. */
final class Transfers {
    private final String bucket;
    private final S3AsyncClient s3;
    private final S3TransferManager manager;
    private final byte[] large = content(3 * PART_BYTES + 1234);

    private Transfers(String bucket, S3AsyncClient s3, S3TransferManager manager) {
        this.bucket = bucket;
        this.s3 = s3;
        this.manager = manager;
    }

    static void run(String bucket) throws Exception {
        try (S3AsyncClient s3 = Store.async(); S3TransferManager manager = S3TransferManager.builder().s3Client(s3).build()) {
            Transfers transfers = new Transfers(bucket, s3, manager);
            transfers.inParts();
            transfers.streams();
            transfers.files();
            transfers.folders();
        }
    }

    private void inParts() {
        PutObjectResponse sent = s3.putObject(
            each -> each.bucket(bucket).key("transfers/ä +").checksumAlgorithm(ChecksumAlgorithm.CRC32_C),
            AsyncRequestBody.fromBytes(large)
        ).join();
        check(sent.eTag().endsWith("-4\""), "four parts were expected: " + sent.eTag());
        check(sent.checksumCRC32C() != null, "no checksum came back");
        same(fetched("transfers/ä +"), large, "sent in parts");
        s3.copyObject(each -> each.sourceBucket(bucket).sourceKey("transfers/ä +").destinationBucket(bucket).destinationKey("transfers/copy"))
            .join();
        same(fetched("transfers/copy"), large, "copied in parts");
        byte[] second = s3.getObject(
            each -> each.bucket(bucket).key("transfers/ä +").partNumber(2).checksumMode(ChecksumMode.ENABLED),
            AsyncResponseTransformer.toBytes()
        ).join().asByteArrayUnsafe();
        same(second, Arrays.copyOfRange(large, PART_BYTES, 2 * PART_BYTES), "the second part");
    }

    /** A stream whose length nobody knows. */
    private void streams() {
        ExecutorService executor = Executors.newSingleThreadExecutor();
        AsyncRequestBody body = AsyncRequestBody.fromInputStream(
            each -> each.inputStream(new ByteArrayInputStream(large)).executor(executor)
        );
        s3.putObject(each -> each.bucket(bucket).key("transfers/streamed").checksumAlgorithm(ChecksumAlgorithm.SHA256), body).join();
        executor.shutdown();
        same(fetched("transfers/streamed"), large, "streamed");
    }

    private void files() throws Exception {
        Path file = Files.createTempFile("java-v2", "");
        Files.write(file, large);
        manager.uploadFile(each -> each.source(file).putObjectRequest(put -> put.bucket(bucket).key("transfers/file")))
            .completionFuture().join();
        Files.delete(file);
        manager.downloadFile(each -> each.destination(file).getObjectRequest(get -> get.bucket(bucket).key("transfers/file")))
            .completionFuture().join();
        same(Files.readAllBytes(file), large, "a file");
    }

    private void folders() throws Exception {
        Path from = Files.createTempDirectory("java-v2-from");
        Path to = Files.createTempDirectory("java-v2-to");
        Files.createDirectories(from.resolve("deep/er"));
        for (String name : new String[] {"one", "deep/ä b+c", "deep/er/three"}) {
            Files.writeString(from.resolve(name), name);
        }
        var sent = manager.uploadDirectory(each -> each.source(from).bucket(bucket).s3Prefix("folder")).completionFuture().join();
        equal(sent.failedTransfers().size(), 0, "failed uploads");
        var came = manager.downloadDirectory(
            each -> each.destination(to).bucket(bucket).listObjectsV2RequestTransformer(list -> list.prefix("folder/"))
        ).completionFuture().join();
        equal(came.failedTransfers().size(), 0, "failed downloads");
        for (String name : new String[] {"one", "deep/ä b+c", "deep/er/three"}) {
            equal(Files.readString(to.resolve(name)), name, "a file of the folder");
        }
    }

    private byte[] fetched(String key) {
        return s3.getObject(each -> each.bucket(bucket).key(key), AsyncResponseTransformer.toBytes()).join().asByteArrayUnsafe();
    }
}
