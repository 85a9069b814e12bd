package cloudhold;

import java.io.IOException;
import java.net.URI;
import java.util.Arrays;
import java.util.Random;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.AwsCredentialsProvider;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.retries.DefaultRetryStrategy;
import software.amazon.awssdk.retries.api.RetryStrategy;
import software.amazon.awssdk.services.s3.S3AsyncClient;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.S3Configuration;
import software.amazon.awssdk.services.s3.model.S3Exception;
import software.amazon.awssdk.services.s3.presigner.S3Presigner;

/** The clients of the store, what is stored there, and what is expected of it. */
final class Store {
    static final int PART_BYTES = 5 << 20;
    private static final URI ENDPOINT = URI.create(System.getenv("S3_ENDPOINT"));
    /** Whether buckets are named in paths, and not by hosts. */
    private static final boolean PATH_STYLE = "path".equals(System.getenv("S3_STYLE"));
    private static final String ACCESS_KEY = System.getenv("ACCESS_KEY");
    private static final String SECRET_KEY = System.getenv("SECRET_KEY");
    /** A second attempt would hide a failure. */
    private static final RetryStrategy NO_RETRY = DefaultRetryStrategy.doNotRetry();

    private Store() {
    }

    static S3Client blocking() {
        return blocking(ACCESS_KEY, SECRET_KEY);
    }

    static S3Client withSecret(String secretKey) {
        return blocking(ACCESS_KEY, secretKey);
    }

    static S3Client blocking(String accessKey, String secretKey) {
        return S3Client.builder()
            .endpointOverride(ENDPOINT)
            .region(Region.US_EAST_1)
            .forcePathStyle(PATH_STYLE)
            .credentialsProvider(credentials(accessKey, secretKey))
            .httpClientBuilder(UrlConnectionHttpClient.builder())
            .overrideConfiguration(each -> each.retryStrategy(NO_RETRY))
            .build();
    }

    /** Sends large objects in parts, and fetches them so. */
    static S3AsyncClient async() {
        return S3AsyncClient.builder()
            .endpointOverride(ENDPOINT)
            .region(Region.US_EAST_1)
            .forcePathStyle(PATH_STYLE)
            .credentialsProvider(credentials(ACCESS_KEY, SECRET_KEY))
            .httpClientBuilder(NettyNioAsyncHttpClient.builder())
            .overrideConfiguration(each -> each.retryStrategy(NO_RETRY))
            .multipartEnabled(true)
            .multipartConfiguration(each -> each.minimumPartSizeInBytes((long) PART_BYTES).thresholdInBytes((long) PART_BYTES))
            .build();
    }

    static S3Presigner presigner() {
        return S3Presigner.builder()
            .endpointOverride(ENDPOINT)
            .region(Region.US_EAST_1)
            .serviceConfiguration(S3Configuration.builder().pathStyleAccessEnabled(PATH_STYLE).build())
            .credentialsProvider(credentials(ACCESS_KEY, SECRET_KEY))
            .build();
    }

    private static AwsCredentialsProvider credentials(String accessKey, String secretKey) {
        return StaticCredentialsProvider.create(AwsBasicCredentials.create(accessKey, secretKey));
    }

    /** Random bytes, the same for the same size. */
    static byte[] content(int sizeBytes) {
        byte[] content = new byte[sizeBytes];
        new Random(sizeBytes).nextBytes(content);
        return content;
    }

    static void check(boolean holds, String otherwise) {
        if (!holds) {
            throw new AssertionError(otherwise);
        }
    }

    static void equal(Object found, Object expected, String what) {
        check(expected.equals(found), what + ": " + found + " instead of " + expected);
    }

    static void same(byte[] found, byte[] expected, String what) {
        check(Arrays.equals(found, expected), what + ": the content differs, " + found.length + " of " + expected.length + " bytes");
    }

    /** A call that may fail. */
    interface Call {
        void run() throws IOException;
    }

    /** The call must be refused with that status and code, as that kind of error. */
    static void refused(int status, String code, Class<? extends S3Exception> kind, Call call) {
        try {
            call.run();
        } catch (S3Exception error) {
            equal(error.statusCode(), status, "status of " + error);
            if (error.awsErrorDetails() != null && error.awsErrorDetails().errorCode() != null) {
                equal(error.awsErrorDetails().errorCode(), code, "code of " + error);
            }
            check(kind.isInstance(error), error.getClass() + " is no " + kind);
            return;
        } catch (IOException error) {
            throw new AssertionError(error);
        }
        throw new AssertionError("this was not refused with " + code);
    }

    static void refused(int status, String code, Call call) {
        refused(status, code, S3Exception.class, call);
    }
}
