//! What can be wrong with a request before it is signed: its method, target, headers, parameters and the length of its body.

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::pools::{any, bytes, date, number, on_one_line, pick, size, text};
use super::request::{Request, encoded};

const METHODS: &[&[u8]] = &[
    b"GET",
    b"HEAD",
    b"PUT",
    b"POST",
    b"DELETE",
    b"OPTIONS",
    b"PATCH",
    b"TRACE",
    b"CONNECT",
    b"PROPFIND",
    b"get",
    b"Put",
    b"GETX",
    b"",
    b"-",
    b"M-SEARCH",
    b"A",
    b"\xc3\xa9",
];

pub(super) fn method(request: &mut Request, random: &mut StdRng) {
    request.method = if random.random_bool(0.1) { vec![b'A'; size(random)] } else { pick(random, METHODS).to_vec() };
}

/// What is put into a path, at any place.
const ODD_IN_PATHS: &[&[u8]] = &[
    b"//",
    b"/./",
    b"/../",
    b"%2e%2e/",
    b"%2F",
    b"%00",
    b"%",
    b"%f",
    b"%zz",
    b"%ff",
    b"%C0%AF",
    b"+",
    b"%20",
    b"\\",
    b"#",
    b";a=b",
    b"\xff",
    b"\xc3\xa9",
    b"\"",
    b"<",
    b"{",
    b"|",
    b"^",
    b"`",
    b"%E2%80%AE",
    b"%25",
    b"*",
    b"~",
    b"@",
    b":",
];

/// Targets that stand for a path.
const ODD_TARGETS: &[&[u8]] = &[
    b"/",
    b"//",
    b"///",
    b"/%2F",
    b"/..",
    b"/.",
    b"*",
    b"",
    b"/.healthCheck",
    b"/.healthCheck/x",
    b"/favicon.ico",
    b"/192.168.0.1",
    b"/xn--a",
    b"/a-s3alias",
    b"/-a-",
    b"/a..b",
    b"/A",
    b"a",
    b"?",
    b"#",
    b"/?",
    b"%2F",
];

pub(super) fn target(request: &mut Request, random: &mut StdRng) {
    let path = request.path.clone();
    request.path = match random.random_range(0..12) {
        0 => [&path, &b"/"[..], &encoded(&any(random))].concat(),
        1 => [&path, &b"/"[..], &on_one_line(text(random))].concat(),
        2 => [&b"/"[..], &encoded(&any(random)), b"/key"].concat(),
        3 => {
            let at = random.random_range(0..=path.len());
            let odd = bytes(random, ODD_IN_PATHS);
            [&path[..at], &odd, &path[at..]].concat()
        }
        4 => [&path, &b"/"[..], &vec![b'k'; size(random)]].concat(),
        5 => [&path, &b"/"[..], &b"%C3%A9".repeat(size(random).min(9000) / 4)].concat(),
        6 => [&b"/"[..], &vec![*pick(random, b"aA.-_0"); *pick(random, &[1, 2, 3, 62, 63, 64, 65, 255, 256])]].concat(),
        7 => pick(random, ODD_TARGETS).to_vec(),
        8 => [
            &b"http://"[..],
            &bytes(random, &[b"127.0.0.1", b"a.lan:99999", b"user:pass@a", b"[::1]", b"", b"\xff", b"a b"]),
            &path,
        ]
        .concat(),
        9 => path.to_ascii_uppercase(),
        10 => b"/.".repeat(size(random) / 2),
        _ => [path, bytes(random, &[b"/", b"//", b"/ ", b"/\t", b"/\0", b"/..", b"/%"])].concat(),
    };
}

/// Names of headers, each with the kind of value that it has behind a colon: `n` a number, `d` a date, `t` a text.
const HEADERS: &str = "\
    range:t if-match:t if-none-match:t if-modified-since:d if-unmodified-since:d if-range:t content-md5:t content-type:t \
    content-encoding:t content-language:t content-disposition:t content-range:t cache-control:t expires:d expect:t host:t date:d \
    x-amz-date:d x-amz-content-sha256:t x-amz-decoded-content-length:n x-amz-trailer:t x-amz-sdk-checksum-algorithm:t \
    x-amz-checksum-algorithm:t x-amz-checksum-type:t x-amz-checksum-mode:t x-amz-checksum-crc32:t x-amz-checksum-crc32c:t \
    x-amz-checksum-crc64nvme:t x-amz-checksum-sha1:t x-amz-checksum-sha256:t x-amz-copy-source:t x-amz-copy-source-range:t \
    x-amz-copy-source-if-match:t x-amz-copy-source-if-none-match:t x-amz-copy-source-if-modified-since:d \
    x-amz-copy-source-if-unmodified-since:d x-amz-metadata-directive:t x-amz-tagging-directive:t x-amz-tagging:t x-amz-meta-a:t \
    x-amz-meta-:t x-amz-storage-class:t x-amz-acl:t x-amz-grant-read:t x-amz-grant-write:t x-amz-grant-full-control:t \
    x-amz-grant-read-acp:t x-amz-object-lock-mode:t x-amz-object-lock-retain-until-date:d x-amz-object-lock-legal-hold:t \
    x-amz-bucket-object-lock-enabled:t x-amz-bypass-governance-retention:t x-amz-expected-bucket-owner:t \
    x-amz-source-expected-bucket-owner:t x-amz-object-ownership:t x-amz-object-attributes:t x-amz-max-parts:n \
    x-amz-part-number-marker:n x-amz-mp-object-size:n x-amz-if-match-size:n x-amz-if-match-last-modified-time:d \
    x-amz-server-side-encryption:t x-amz-server-side-encryption-customer-key:t x-amz-website-redirect-location:t \
    x-amz-write-offset-bytes:n x-amz-request-payer:t x-amz-mfa:t x-amz-security-token:t x-amz-user-agent:t x-amz-invented:t \
    x-cloudhold-durability:t origin:t access-control-request-method:t access-control-request-headers:t referer:t user-agent:t \
    connection:t upgrade:t te:t trailer:t cookie:t x-forwarded-for:t accept-encoding:t x-request-id:t proxy-authorization:t";

/// A name of a table, and the kind of value that it has.
fn named(random: &mut StdRng, table: &'static str) -> (&'static str, &'static str) {
    let words: Vec<&str> = table.split_whitespace().collect();
    let word = *pick(random, &words);
    word.split_once(':').unwrap_or((word, ""))
}

/// Adds, replaces, doubles or takes away a header.
pub(super) fn header(request: &mut Request, random: &mut StdRng) {
    let (name, kind) = named(random, HEADERS);
    let fitting = match kind {
        "n" => number(random),
        "d" => date(random),
        _ => text(random),
    };
    let value = on_one_line(if random.random_bool(0.8) { fitting } else { any(random) });
    match random.random_range(0..12) {
        0..=5 => request.set(name, value),
        6 | 7 => request.add(name, value),
        8 if !request.headers.is_empty() => {
            let at = random.random_range(0..request.headers.len());
            request.headers[at].1 = value;
        }
        9 if !request.headers.is_empty() => drop(request.headers.remove(random.random_range(0..request.headers.len()))),
        10 => {
            for at in 0..random.random_range(2..40) {
                request.add(&format!("x-amz-meta-{at}"), &value[..value.len().min(200)]);
            }
        }
        _ => {
            let name = name.to_ascii_uppercase();
            request.add(&name, value);
        }
    }
}

/// Names of parameters, likewise; sub-resources have no value.
const PARAMETERS: &str = "\
    accelerate acl analytics attributes cors delete encryption intelligent-tiering inventory legal-hold lifecycle location logging \
    metadataTable metrics notification object-lock ownershipControls policy policyStatus publicAccessBlock replication \
    requestPayment restore retention select session tagging torrent uploads versioning versions website renameObject append \
    partNumber:n uploadId:t versionId:t list-type:n max-keys:n max-uploads:n max-parts:n max-buckets:n part-number-marker:n prefix:t \
    delimiter:t marker:t key-marker:t version-id-marker:t upload-id-marker:t start-after:t continuation-token:t encoding-type:t \
    fetch-owner:t response-content-type:t response-expires:t response-cache-control:t response-content-disposition:t x-id:t events:t \
    metadata:t events:t X-Amz-Expires:n X-Amz-Signature:t X-Amz-Security-Token:t Signature:t AWSAccessKeyId:t";

/// Adds, replaces, doubles or takes away parameters.
pub(super) fn query(request: &mut Request, random: &mut StdRng) {
    let (name, kind) = named(random, PARAMETERS);
    let value = match kind {
        "" => Vec::new(),
        "n" if random.random_bool(0.8) => number(random),
        _ => any(random),
    };
    let value = if random.random_bool(0.7) { encoded(&value) } else { on_one_line(value) };
    let pair = (name.as_bytes().to_vec(), (!kind.is_empty() || random.random_bool(0.3)).then_some(value.clone()));
    match random.random_range(0..14) {
        0..=5 => request.query.push(pair),
        6 => request.query.extend([pair.clone(), pair]),
        7..=9 if !request.query.is_empty() => {
            let at = random.random_range(0..request.query.len());
            request.query[at].1 = Some(value);
        }
        10 if !request.query.is_empty() => drop(request.query.remove(random.random_range(0..request.query.len()))),
        11 => request
            .query
            .extend((0..random.random_range(2..600)).map(|at| (format!("p{at}").into_bytes(), Some(b"v".to_vec())))),
        12 => request.query.push((on_one_line(any(random)), None)),
        _ => {
            for _ in 0..random.random_range(2..5) {
                request.query.push((named(random, PARAMETERS).0.as_bytes().to_vec(), None));
            }
        }
    }
}

/// Says something else of the length of the body. Where that is more than comes, the server waits for the rest.
pub(super) fn length(request: &mut Request, random: &mut StdRng) {
    let real = request.body.len();
    match random.random_range(0..14) {
        0 => request.tells_length = false,
        1 => request.add("content-length", (real + random.random_range(1..100)).to_string()),
        2 => request.add("content-length", real.saturating_sub(random.random_range(1..100)).to_string()),
        3 => request.add("content-length", on_one_line(number(random))),
        4 => {
            request.add("content-length", real.to_string());
            request.add("content-length", pick(random, &[real, real + 1, 0]).to_string());
        }
        5 => {
            let sizes = [
                "5368709120",
                "5368709121",
                "9223372036854775807",
                "18446744073709551615",
                "18446744073709551616",
                "20971521",
            ];
            request.add("content-length", pick(random, &sizes));
        }
        6 => {
            request.add("content-length", real.to_string());
            request.add("transfer-encoding", "chunked");
        }
        7 => request.add(
            "transfer-encoding",
            pick(
                random,
                &["gzip, chunked", "identity", "chunked, chunked", "chunked, gzip", "xchunked", "", "CHUNKED"],
            ),
        ),
        _ => {
            request.body = transfer_chunked(&request.body, random);
            request.add("transfer-encoding", "chunked");
        }
    }
}

/// A body in the chunks of HTTP/1.1, often broken.
fn transfer_chunked(body: &[u8], random: &mut StdRng) -> Vec<u8> {
    let mut framed = Vec::new();
    let step = *pick(random, &[1, 10, 1000, 65_536]);
    for piece in body.chunks(step) {
        framed.extend(format!("{:x}\r\n", piece.len()).bytes());
        framed.extend(piece);
        framed.extend(b"\r\n");
    }
    let end = bytes(
        random,
        &[
            &b"0\r\n\r\n"[..],
            b"0\r\n\r\n",
            b"0\r\n\r\n",
            b"0\r\n\r\n",
            b"0;a=b\r\n\r\n",
            b"0\r\nx-amz-checksum-crc32: AAAAAA==\r\n\r\n",
            b"0\r\n",
            b"",
            b"zz\r\n",
            b"-1\r\n",
            b"ffffffffffffffffff\r\n",
            b"fffffffffffffff0\r\n",
            b"5\r\nhi\r\n",
            b"0\n\n",
            b"\r\n\r\n",
            b"0x0\r\n\r\n",
        ],
    );
    framed.extend(end);
    if random.random_bool(0.1) && !framed.is_empty() {
        let at = random.random_range(0..framed.len());
        framed[at] = random.random();
    }
    framed
}
