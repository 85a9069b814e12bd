package cloudhold;

import static cloudhold.Store.check;
import static cloudhold.Store.content;
import static cloudhold.Store.equal;
import static cloudhold.Store.refused;
import static cloudhold.Store.same;

import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.Base64;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.BucketVersioningStatus;
import software.amazon.awssdk.services.s3.model.ChecksumAlgorithm;
import software.amazon.awssdk.services.s3.model.ChecksumMode;
import software.amazon.awssdk.services.s3.model.CommonPrefix;
import software.amazon.awssdk.services.s3.model.GetObjectResponse;
import software.amazon.awssdk.services.s3.model.NoSuchBucketException;
import software.amazon.awssdk.services.s3.model.NoSuchKeyException;
import software.amazon.awssdk.services.s3.model.ObjectIdentifier;
import software.amazon.awssdk.services.s3.model.PutObjectResponse;
import software.amazon.awssdk.services.s3.model.S3Exception;
import software.amazon.awssdk.services.s3.model.S3Object;
import software.amazon.awssdk.services.s3.model.Tag;
import software.amazon.awssdk.services.s3.presigner.S3Presigner;

/** The AWS SDK for Java v2: what its blocking client does, and {@link Transfers}; or, when asked for it, {@link Encryption}. */
public final class RoundTrip {
    private static final String BUCKET = System.getenv().getOrDefault("S3_BUCKET", "java-v2");
    /** Blanks, signs, letters beyond ASCII and empty or dotted steps: each name must come back as it was sent. */
    private static final List<String> UNUSUAL_KEYS = List.of(
        "names/./dot/../dots",
        "names//two//slashes/",
        "names/a b+c&d=e?f#g%41.txt",
        "names/quote's\"(x)*!~;:@$,[]{}",
        "names/äöü €/日本語"
    ).stream().sorted(Comparator.comparing(key -> key, RoundTrip::byBytes)).toList();

    private final S3Client s3 = Store.blocking();

    public static void main(String[] arguments) throws Exception {
        if (Arrays.equals(arguments, new String[] {"encryption"})) {
            Encryption.run();
            System.out.println("done");
            return;
        }
        RoundTrip trip = new RoundTrip();
        trip.buckets();
        trip.objects();
        trip.checksums();
        Transfers.run(BUCKET);
        trip.lists();
        trip.conditions();
        trip.presigned();
        trip.tags();
        trip.versions();
        trip.strangers();
        trip.deletes();
        System.out.println("done");
    }

    private static int byBytes(String one, String other) {
        return Arrays.compareUnsigned(one.getBytes(StandardCharsets.UTF_8), other.getBytes(StandardCharsets.UTF_8));
    }

    private PutObjectResponse put(String key, byte[] body) {
        return s3.putObject(each -> each.bucket(BUCKET).key(key), RequestBody.fromBytes(body));
    }

    private byte[] read(String key) {
        return s3.getObjectAsBytes(each -> each.bucket(BUCKET).key(key)).asByteArrayUnsafe();
    }

    private void buckets() {
        refused(404, "NoSuchBucket", NoSuchBucketException.class, () -> s3.headBucket(each -> each.bucket(BUCKET)));
        s3.createBucket(each -> each.bucket(BUCKET));
        s3.waiter().waitUntilBucketExists(each -> each.bucket(BUCKET));
        check(s3.listBuckets().buckets().stream().anyMatch(each -> each.name().equals(BUCKET)), "the bucket is not listed");
    }

    private void objects() {
        for (int size : new int[] {0, 1, 70_000, 3 << 20}) {
            String key = "objects/" + size;
            PutObjectResponse sent = s3.putObject(
                each -> each.bucket(BUCKET).key(key).contentType("image/x-test").metadata(Map.of("origin", "java", "two-words", "a b")),
                RequestBody.fromBytes(content(size))
            );
            check(sent.checksumCRC32() != null, "the SDK sends a CRC32 by itself");
            var got = s3.getObjectAsBytes(each -> each.bucket(BUCKET).key(key).checksumMode(ChecksumMode.ENABLED));
            same(got.asByteArrayUnsafe(), content(size), key);
            GetObjectResponse told = got.response();
            equal(told.contentType(), "image/x-test", "type");
            equal(told.metadata(), Map.of("origin", "java", "two-words", "a b"), "metadata");
            equal(told.eTag(), sent.eTag(), "ETag");
            equal(told.checksumCRC32(), sent.checksumCRC32(), "checksum");
        }
        byte[] large = content(3 << 20);
        Map<String, byte[]> spans = Map.of(
            "bytes=0-0", Arrays.copyOf(large, 1),
            "bytes=131070-131073", Arrays.copyOfRange(large, 131070, 131074),
            "bytes=3000000-", Arrays.copyOfRange(large, 3_000_000, large.length),
            "bytes=-7", Arrays.copyOfRange(large, large.length - 7, large.length)
        );
        spans.forEach((span, expected) -> {
            var got = s3.getObjectAsBytes(each -> each.bucket(BUCKET).key("objects/" + (3 << 20)).range(span));
            same(got.asByteArrayUnsafe(), expected, span);
        });
        refused(416, "InvalidRange", () -> s3.getObjectAsBytes(each -> each.bucket(BUCKET).key("objects/1").range("bytes=5-")));
        refused(404, "NoSuchKey", NoSuchKeyException.class, () -> read("objects/missing"));
        refused(404, "NoSuchKey", NoSuchKeyException.class, () -> s3.headObject(each -> each.bucket(BUCKET).key("objects/missing")));
        refused(404, "NoSuchBucket", NoSuchBucketException.class, () -> s3.listObjectsV2(each -> each.bucket("nobody-made-this-one")));
    }

    private void checksums() {
        // The fifth, CRC64NVME, comes only with the SDK's native library.
        List<ChecksumAlgorithm> algorithms = List.of(
            ChecksumAlgorithm.CRC32, ChecksumAlgorithm.CRC32_C, ChecksumAlgorithm.SHA1, ChecksumAlgorithm.SHA256
        );
        for (ChecksumAlgorithm algorithm : algorithms) {
            String key = "checksums/" + algorithm;
            s3.putObject(each -> each.bucket(BUCKET).key(key).checksumAlgorithm(algorithm), RequestBody.fromBytes(content(100_000)));
            var got = s3.getObjectAsBytes(each -> each.bucket(BUCKET).key(key).checksumMode(ChecksumMode.ENABLED));
            same(got.asByteArrayUnsafe(), content(100_000), key);
            String header = "x-amz-checksum-" + algorithm.toString().toLowerCase();
            check(got.response().sdkHttpResponse().firstMatchingHeader(header).isPresent(), "no " + header + " came back");
        }
        String wrong = Base64.getEncoder().encodeToString(new byte[32]);
        refused(400, "BadDigest", () -> s3.putObject(
            each -> each.bucket(BUCKET).key("checksums/wrong").checksumSHA256(wrong), RequestBody.fromString("x")
        ));
        refused(404, "NoSuchKey", NoSuchKeyException.class, () -> read("checksums/wrong"));
    }

    private void lists() {
        for (String key : UNUSUAL_KEYS) {
            put(key, key.getBytes());
            same(read(key), key.getBytes(), key);
        }
        var pages = s3.listObjectsV2Paginator(each -> each.bucket(BUCKET).prefix("names/").maxKeys(2));
        equal(pages.contents().stream().map(S3Object::key).toList(), UNUSUAL_KEYS, "all pages");
        equal((int) pages.stream().count(), 3, "pages");
        var after = s3.listObjects(each -> each.bucket(BUCKET).prefix("names/").marker(UNUSUAL_KEYS.get(2)));
        equal(after.contents().stream().map(S3Object::key).toList(), UNUSUAL_KEYS.subList(3, 5), "behind the marker");
        var folders = s3.listObjectsV2Paginator(each -> each.bucket(BUCKET).delimiter("/").maxKeys(1)).commonPrefixes();
        List<String> expected = List.of("checksums/", "folder/", "names/", "objects/", "transfers/");
        equal(folders.stream().map(CommonPrefix::prefix).toList(), expected, "folders");
    }

    private void conditions() {
        String key = "conditions/k";
        PutObjectResponse first = putIfNew(key, "first");
        refused(412, "PreconditionFailed", () -> putIfNew(key, "x"));
        s3.putObject(each -> each.bucket(BUCKET).key(key).ifMatch(first.eTag()), RequestBody.fromString("second"));
        refused(412, "PreconditionFailed", () -> s3.putObject(
            each -> each.bucket(BUCKET).key(key).ifMatch(first.eTag()), RequestBody.fromString("x")
        ));
        refused(412, "PreconditionFailed", () -> s3.getObjectAsBytes(each -> each.bucket(BUCKET).key(key).ifMatch(first.eTag())));
        String now = s3.headObject(each -> each.bucket(BUCKET).key(key)).eTag();
        refused(304, "NotModified", () -> s3.getObjectAsBytes(each -> each.bucket(BUCKET).key(key).ifNoneMatch(now)));
        AtomicInteger winners = new AtomicInteger();
        IntStream.range(0, 8).parallel().forEach(number -> {
            try {
                putIfNew("conditions/raced", "racer " + number);
                winners.incrementAndGet();
            } catch (S3Exception error) {
                check(error.statusCode() == 412 || error.statusCode() == 409, "a loser was told " + error);
            }
        });
        equal(winners.get(), 1, "winners");
        String source = UNUSUAL_KEYS.get(2);
        s3.copyObject(each -> each.sourceBucket(BUCKET).sourceKey(source).destinationBucket(BUCKET).destinationKey("conditions/copy"));
        same(read("conditions/copy"), source.getBytes(), "copy");
    }

    private PutObjectResponse putIfNew(String key, String body) {
        return s3.putObject(each -> each.bucket(BUCKET).key(key).ifNoneMatch("*"), RequestBody.fromString(body));
    }

    private void presigned() throws IOException {
        String key = "names/a b+c&d=e?f#g%41.txt";
        try (S3Presigner presigner = Store.presigner()) {
            URL get = presigner.presignGetObject(
                each -> each.signatureDuration(Duration.ofMinutes(1)).getObjectRequest(request -> request.bucket(BUCKET).key(key))
            ).url();
            try (var stream = get.openStream()) {
                same(stream.readAllBytes(), key.getBytes(), "presigned");
            }
            URL bent = new URL(get.toString().replace("a%20b", "a%20c"));
            equal(((HttpURLConnection) bent.openConnection()).getResponseCode(), 403, "a bent address");
            URL put = presigner.presignPutObject(
                each -> each.signatureDuration(Duration.ofMinutes(1)).putObjectRequest(request -> request.bucket(BUCKET).key("presigned/ä +"))
            ).url();
            HttpURLConnection connection = (HttpURLConnection) put.openConnection();
            connection.setRequestMethod("PUT");
            connection.setDoOutput(true);
            connection.getOutputStream().write("by an address".getBytes());
            equal(connection.getResponseCode(), 200, "a presigned PUT");
            same(read("presigned/ä +"), "by an address".getBytes(), "sent to an address");
        }
    }

    private void tags() {
        Tag tag = Tag.builder().key("kind").value("small one").build();
        s3.putObject(each -> each.bucket(BUCKET).key("tags/k").tagging("kind=small%20one"), RequestBody.fromString("x"));
        equal(s3.getObjectTagging(each -> each.bucket(BUCKET).key("tags/k")).tagSet(), List.of(tag), "tags");
        refused(404, "NoSuchTagSet", () -> s3.getBucketTagging(each -> each.bucket(BUCKET)));
        s3.putBucketTagging(each -> each.bucket(BUCKET).tagging(tags -> tags.tagSet(tag)));
        equal(s3.getBucketTagging(each -> each.bucket(BUCKET)).tagSet(), List.of(tag), "tags of the bucket");
    }

    private void versions() {
        String bucket = BUCKET + "-versions";
        s3.createBucket(each -> each.bucket(bucket));
        s3.putBucketVersioning(each -> each.bucket(bucket).versioningConfiguration(to -> to.status(BucketVersioningStatus.ENABLED)));
        String first = s3.putObject(each -> each.bucket(bucket).key("k"), RequestBody.fromString("first")).versionId();
        String second = s3.putObject(each -> each.bucket(bucket).key("k"), RequestBody.fromString("second")).versionId();
        same(s3.getObjectAsBytes(each -> each.bucket(bucket).key("k").versionId(first)).asByteArray(), "first".getBytes(), "the first");
        String marker = s3.deleteObject(each -> each.bucket(bucket).key("k")).versionId();
        refused(404, "NoSuchKey", NoSuchKeyException.class, () -> s3.getObjectAsBytes(each -> each.bucket(bucket).key("k")));
        refused(405, "MethodNotAllowed", () -> s3.getObjectAsBytes(each -> each.bucket(bucket).key("k").versionId(marker)));
        var listed = s3.listObjectVersionsPaginator(each -> each.bucket(bucket).maxKeys(1));
        equal(listed.versions().stream().map(each -> each.versionId()).toList(), List.of(second, first), "versions");
        equal(listed.deleteMarkers().stream().map(each -> each.versionId()).toList(), List.of(marker), "markers");
        refused(409, "BucketNotEmpty", () -> s3.deleteBucket(each -> each.bucket(bucket)));
        List<ObjectIdentifier> all = List.of(first, second, marker).stream()
            .map(version -> ObjectIdentifier.builder().key("k").versionId(version).build()).toList();
        equal(s3.deleteObjects(each -> each.bucket(bucket).delete(these -> these.objects(all))).deleted().size(), 3, "deleted");
        s3.deleteBucket(each -> each.bucket(bucket));
    }

    private void strangers() {
        try (S3Client wrong = Store.withSecret("x".repeat(40)); S3Client unknown = Store.blocking("AKIANOBODYKNOWSTHIS0", "x".repeat(40))) {
            refused(403, "SignatureDoesNotMatch", wrong::listBuckets);
            refused(403, "InvalidAccessKeyId", unknown::listBuckets);
        }
    }

    private void deletes() {
        for (var page : s3.listObjectsV2Paginator(each -> each.bucket(BUCKET).maxKeys(7))) {
            List<ObjectIdentifier> keys = page.contents().stream().map(each -> ObjectIdentifier.builder().key(each.key()).build()).toList();
            var gone = s3.deleteObjects(each -> each.bucket(BUCKET).delete(these -> these.objects(keys)));
            check(gone.deleted().size() == keys.size() && !gone.hasErrors(), "not all are deleted: " + gone);
        }
        s3.deleteBucket(each -> each.bucket(BUCKET));
        s3.waiter().waitUntilBucketNotExists(each -> each.bucket(BUCKET));
    }
}
