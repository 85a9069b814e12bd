package cloudhold;

import com.amazonaws.ClientConfiguration;
import com.amazonaws.HttpMethod;
import com.amazonaws.Protocol;
import com.amazonaws.auth.AWSStaticCredentialsProvider;
import com.amazonaws.auth.BasicAWSCredentials;
import com.amazonaws.client.builder.AwsClientBuilder.EndpointConfiguration;
import com.amazonaws.services.s3.AmazonS3;
import com.amazonaws.services.s3.AmazonS3ClientBuilder;
import com.amazonaws.services.s3.model.AmazonS3Exception;
import com.amazonaws.services.s3.model.GetObjectRequest;
import com.amazonaws.services.s3.model.ListObjectsRequest;
import com.amazonaws.services.s3.model.ObjectListing;
import com.amazonaws.services.s3.model.ObjectMetadata;
import com.amazonaws.services.s3.model.PutObjectRequest;
import com.amazonaws.services.s3.model.S3Object;
import com.amazonaws.services.s3.model.S3ObjectInputStream;
import com.amazonaws.services.s3.model.S3ObjectSummary;
import com.amazonaws.services.s3.model.StorageClass;
import com.amazonaws.services.s3.transfer.TransferManager;
import com.amazonaws.services.s3.transfer.TransferManagerBuilder;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Date;
import java.util.List;
import java.util.Random;

/**
 * What CloudStack does with its S3 secondary storage, with the SDK that CloudStack brings: uploads by the TransferManager in
 * parts, downloads, reads of a template's header that are aborted, lists (V1), deletes and presigned addresses, by the signer
 * that an image store is configured with. With the second argument "encryption", {@link Encryption} instead.
 */
public final class RoundTrip {
    private static final String BUCKET = System.getenv().getOrDefault("S3_BUCKET", "java-v1");
    private static final int PART_BYTES = 5 << 20;

    private final AmazonS3 s3;
    private final TransferManager transfers;
    private final Path folder;

    private RoundTrip(AmazonS3 s3, Path folder) {
        this.s3 = s3;
        this.folder = folder;
        this.transfers = TransferManagerBuilder.standard()
            .withS3Client(s3)
            .withMinimumUploadPartSize((long) PART_BYTES)
            .withMultipartUploadThreshold((long) PART_BYTES)
            .build();
    }

    public static void main(String[] arguments) throws Exception {
        Path folder = Files.createTempDirectory("java-v1");
        AmazonS3 s3 = client(arguments[0]);
        if (arguments.length > 1 && "encryption".equals(arguments[1])) {
            Encryption.run(s3);
            System.out.println("done");
            return;
        }
        RoundTrip trip = new RoundTrip(s3, folder);
        if (!s3.doesBucketExistV2(BUCKET)) {
            s3.createBucket(BUCKET);
        }
        check(s3.listBuckets().stream().anyMatch(each -> each.getName().equals(BUCKET)), "the bucket is not listed");
        trip.largeObjects();
        trip.abortedRead();
        trip.lists();
        trip.presigned();
        trip.deletes();
        trip.transfers.shutdownNow();
        System.out.println("done");
    }

    private static AmazonS3 client(String signer) {
        ClientConfiguration configuration = new ClientConfiguration();
        URI endpoint = URI.create(System.getenv("S3_ENDPOINT"));
        configuration.setProtocol("https".equals(endpoint.getScheme()) ? Protocol.HTTPS : Protocol.HTTP);
        configuration.setSignerOverride(signer);
        configuration.setMaxErrorRetry(0);
        configuration.setUseTcpKeepAlive(true);
        BasicAWSCredentials key = new BasicAWSCredentials(System.getenv("ACCESS_KEY"), System.getenv("SECRET_KEY"));
        return AmazonS3ClientBuilder.standard()
            .withCredentials(new AWSStaticCredentialsProvider(key))
            .withEndpointConfiguration(new EndpointConfiguration(endpoint.toString(), "us-east-1"))
            .withPathStyleAccessEnabled("path".equals(System.getenv("S3_STYLE")))
            .withClientConfiguration(configuration)
            .build();
    }

    /** A file of several parts goes up and comes back, also by a stream whose length is known. */
    private void largeObjects() throws Exception {
        byte[] content = random(3 * PART_BYTES + 12345);
        Path file = folder.resolve("large");
        Files.write(file, content);
        PutObjectRequest put = new PutObjectRequest(BUCKET, "template/tmpl/1/200/name/large.vhd", file.toFile());
        put.setStorageClass(StorageClass.ReducedRedundancy);
        transfers.upload(put).waitForCompletion();

        ObjectMetadata metadata = s3.getObjectMetadata(BUCKET, "template/tmpl/1/200/name/large.vhd");
        check(metadata.getContentLength() == content.length, "the length is " + metadata.getContentLength());
        check(metadata.getETag().endsWith("-4"), "four parts were expected: " + metadata.getETag());
        File back = folder.resolve("back").toFile();
        transfers.download(BUCKET, "template/tmpl/1/200/name/large.vhd", back).waitForCompletion();
        check(Arrays.equals(Files.readAllBytes(back.toPath()), content), "the download differs");

        ObjectMetadata known = new ObjectMetadata();
        known.setContentLength(content.length);
        known.addUserMetadata("origin", "stream");
        transfers.upload(BUCKET, "streamed", new ByteArrayInputStream(content), known).waitForCompletion();
        try (S3Object object = s3.getObject(BUCKET, "streamed")) {
            check("stream".equals(object.getObjectMetadata().getUserMetaDataOf("origin")), "the metadata is lost");
            check(Arrays.equals(object.getObjectContent().readAllBytes(), content), "the stream differs");
        }
    }

    /** CloudStack reads a template's header and hangs up. */
    private void abortedRead() throws Exception {
        for (int round = 0; round < 5; round++) {
            S3Object object = s3.getObject(new GetObjectRequest(BUCKET, "template/tmpl/1/200/name/large.vhd"));
            S3ObjectInputStream stream = object.getObjectContent();
            check(stream.readNBytes(512).length == 512, "the header is short");
            stream.abort();
        }
        GetObjectRequest range = new GetObjectRequest(BUCKET, "template/tmpl/1/200/name/large.vhd").withRange(100, 199);
        try (S3Object object = s3.getObject(range)) {
            byte[] expected = Arrays.copyOfRange(Files.readAllBytes(folder.resolve("large")), 100, 200);
            check(Arrays.equals(object.getObjectContent().readAllBytes(), expected), "the range differs");
        }
    }

    /** Lists by pages, with names that need encoding. */
    private void lists() {
        List<String> names = new ArrayList<>();
        for (int number = 0; number < 25; number++) {
            String name = String.format("list/ä b+%%%02d&<x>.txt", number);
            names.add(name);
            s3.putObject(BUCKET, name, "content " + number);
        }
        List<String> found = new ArrayList<>();
        ObjectListing page = s3.listObjects(new ListObjectsRequest().withBucketName(BUCKET).withPrefix("list/").withMaxKeys(10));
        int pages = 1;
        for (;;) {
            page.getObjectSummaries().forEach(summary -> found.add(summary.getKey()));
            if (!page.isTruncated()) {
                break;
            }
            page = s3.listNextBatchOfObjects(page);
            pages++;
        }
        check(found.equals(names), "the list differs: " + found);
        check(pages == 3, "pages: " + pages);
        ObjectListing folders = s3.listObjects(new ListObjectsRequest().withBucketName(BUCKET).withDelimiter("/"));
        check(folders.getCommonPrefixes().equals(List.of("list/", "template/")), "folders: " + folders.getCommonPrefixes());
    }

    /** An address that needs no key, as CloudStack gives it to whoever extracts a template. */
    private void presigned() throws Exception {
        Date expiration = new Date(System.currentTimeMillis() + 60_000);
        URL url = s3.generatePresignedUrl(BUCKET, "list/ä b+%03&<x>.txt", expiration, HttpMethod.GET);
        try (InputStream stream = url.openStream()) {
            check("content 3".equals(new String(stream.readAllBytes())), "the presigned content differs");
        }
        URL forged = new URL(url.toString().replace("%2B%2503", "%2B%2504"));
        check(!forged.toString().equals(url.toString()), "nothing was forged in " + url.getPath());
        int status = ((HttpURLConnection) forged.openConnection()).getResponseCode();
        check(status == 403, "a forged address was answered with " + status);
    }

    private void deletes() {
        for (S3ObjectSummary summary : s3.listObjects(BUCKET).getObjectSummaries()) {
            s3.deleteObject(BUCKET, summary.getKey());
        }
        check(s3.listObjects(BUCKET).getObjectSummaries().isEmpty(), "something is left");
        try {
            s3.getObject(BUCKET, "streamed");
            throw new AssertionError("a deleted object is still there");
        } catch (AmazonS3Exception error) {
            check("NoSuchKey".equals(error.getErrorCode()), "the error is " + error.getErrorCode());
        }
        s3.deleteBucket(BUCKET);
    }

    static byte[] random(int size) {
        byte[] content = new byte[size];
        new Random(size).nextBytes(content);
        return content;
    }

    static void check(boolean holds, String otherwise) {
        if (!holds) {
            throw new AssertionError(otherwise);
        }
    }
}
