//! Values that programs stumble over: numbers, dates and texts.

use rand::RngExt as _;
use rand::rngs::StdRng;

/// One of several.
pub(super) fn pick<'a, T>(random: &mut StdRng, of: &'a [T]) -> &'a T {
    &of[random.random_range(0..of.len())]
}

/// One of several, as bytes of one's own.
pub(super) fn bytes(random: &mut StdRng, of: &[&[u8]]) -> Vec<u8> {
    pick(random, of).to_vec()
}

const NUMBERS: &[&str] = &[
    "",
    "0",
    "-0",
    "-1",
    "1",
    "2",
    "5",
    "1000",
    "1001",
    "10000",
    "10001",
    "36500",
    "2147483647",
    "2147483648",
    "-2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999",
    "1e3",
    "0x10",
    "+1",
    " 1",
    "1 ",
    "1.5",
    "NaN",
    "00000000000000000000001",
    "１",
    "1,1",
    "1;",
    "one",
    "true",
];

const DATES: &[&str] = &[
    "",
    "0",
    "now",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Mon, 01 Jan 0000 00:00:00 GMT",
    "Tue, 32 Oct 2024 10:00:00 GMT",
    "Tue, 01 Oct 2024 25:61:61 GMT",
    "Tuesday, 01-Oct-24 10:00:00 GMT",
    "Tue Oct  1 10:00:00 2024",
    "Wed, 01 Oct 2024 10:00:00 GMT",
    "Tue, 01 Oct 2024 10:00:00 +9999",
    "Tue, 01 Oct 2024 10:00:00",
    "1970-01-01T00:00:00Z",
    "2100-01-01T00:00:00Z",
    "2100-01-01T00:00:00.000Z",
    "2100-01-01",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59.999999999Z",
    "9999-12-31T23:59:59-23:59",
    "0000-01-01T00:00:00Z",
    "0000-01-01T00:00:00+23:59",
    "-9999-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "+999999-01-01T00:00:00Z",
    "2016-12-31T23:59:60Z",
    "2023-02-29T00:00:00Z",
    "2100-13-01T00:00:00Z",
    "20991332T000000Z",
    "99991231T235959Z",
    "00000000T000000Z",
    "1727776800",
    "-1",
    "1727776800.5",
    "99999999999999999999",
    "9223372036854775807",
];

const TEXTS: &[&[u8]] = &[
    b"",
    b" ",
    b"*",
    b"null",
    b"undefined",
    b"true",
    b"false",
    b"a",
    b"A",
    b"%",
    b"%%",
    b"%0",
    b"%zz",
    b"%00",
    b"%ff%fe",
    b"%C0%AF",
    b"%ED%A0%80",
    b"%F4%90%80%80",
    b"%0d%0aX-Injected:%20yes",
    b"%u0041",
    b"%25%30%30",
    b"+",
    b"a+b",
    b"..",
    b"../../etc/passwd",
    b"/",
    b"//",
    b"\\",
    b"<x>",
    b"</Key>",
    b"&",
    b"&amp;",
    b"&#0;",
    b"]]>",
    b"<!--",
    b"\"",
    b"\"\"",
    b"'",
    b"`id`",
    b"$(id)",
    b"{}",
    b"[]",
    b"{\"a\":1}",
    b"=",
    b"==",
    b"a=b",
    b"a=b&a=c",
    b";",
    b",",
    b",,",
    b"a,b",
    b":",
    b"?",
    b"#",
    b"@",
    b"\x01",
    b"\x07\x08",
    b"\x0b",
    b"\x1b[31m",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xff\xfe",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xf0\x9f\x92\xa9",
    b"\xe2\x80\xae",
    b"\xc3\xa9",
    b"=?UTF-8?B?4pyT?=",
    b"=?UTF-8?Q?=ZZ?=",
    b"=?x?B?!!!?=",
    b"bytes=0-",
    b"bytes=-0",
    b"bytes=5-1",
    b"bytes=0-0,2-3",
    b"bytes=18446744073709551615-18446744073709551616",
    b"bytes=-18446744073709551616",
    b"bytes=0-9223372036854775807",
    b"bytes",
    b"bytes=a-b",
    b"items=0-1",
    b"STANDARD",
    b"GLACIER",
    b"REDUCED_REDUNDANCY",
    b"private",
    b"public-read-write",
    b"GOVERNANCE",
    b"COMPLIANCE",
    b"ON",
    b"Enabled",
    b"COPY",
    b"REPLACE",
    b"CRC32",
    b"MD5",
    b"FULL_OBJECT",
    b"COMPOSITE",
    b"AAAAAA==",
    b"AAAA",
    b"not base64",
    b"1B2M2Y8AsgTpgAmY7PhCfg==",
    b"d41d8cd98f00b204e9800998ecf8427e",
    b"\"d41d8cd98f00b204e9800998ecf8427e\"",
    b"W/\"x\"",
    b"id=",
    b"id=\"\"",
    b"id=\"x\", uri=\"http://acs.amazonaws.com/groups/global/AllUsers\"",
    b"emailAddress=x",
    b"uri=",
    b"url",
    b"AES256",
    b"aws:kms",
    b"chunked",
    b"gzip, chunked",
    b"identity",
    b"100-continue",
    b"close",
    b"keep-alive, Upgrade",
    b"h2c",
    b"http://a.lan",
    b"arn:aws:s3:::*",
    b"arn:aws:s3:eu-west-1:123456789012:accesspoint/x/object/y",
    b"12345",
    b"0-0",
    b"x-amz-checksum-crc32",
    b"x-amz-checksum-crc32, x-amz-checksum-sha256",
    b"multipart/form-data",
    b"multipart/form-data; boundary=",
    b"application/xml",
    b"text/html; charset=\xff",
    b"STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    b"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
    b"UNSIGNED-PAYLOAD",
    b"relaxed",
    b"00000000000000000000000000000000",
    b"ffffffffffffffffffffffffffffffff",
    b"ETag,Checksum,ObjectParts,StorageClass,ObjectSize",
    b"ETag,,",
    b"Unknown",
];

pub(super) fn number(random: &mut StdRng) -> Vec<u8> {
    match random.random_range(0..12) {
        0 => vec![b'9'; random.random_range(20..2000)],
        1 => random.random::<i64>().to_string().into_bytes(),
        _ => pick(random, NUMBERS).as_bytes().to_vec(),
    }
}

pub(super) fn date(random: &mut StdRng) -> Vec<u8> {
    let mut date = pick(random, DATES).as_bytes().to_vec();
    if random.random_bool(0.2) && !date.is_empty() {
        let at = random.random_range(0..date.len());
        date[at] = random.random();
    }
    date
}

pub(super) fn text(random: &mut StdRng) -> Vec<u8> {
    match random.random_range(0..14) {
        0 => vec![*pick(random, b"aA0/%<&\xe9 "); size(random)],
        1 => {
            let mut bytes = vec![0; random.random_range(1..40)];
            bytes.fill_with(|| random.random());
            bytes
        }
        2 => [*pick(random, TEXTS), *pick(random, TEXTS)].concat(),
        _ => pick(random, TEXTS).to_vec(),
    }
}

/// A length about which something may be decided.
pub(super) fn size(random: &mut StdRng) -> usize {
    *pick(random, &[1, 63, 64, 255, 256, 1023, 1024, 1025, 2048, 2049, 4096, 8191, 20_000, 70_000])
}

/// Any of these.
pub(super) fn any(random: &mut StdRng) -> Vec<u8> {
    match random.random_range(0..5) {
        0 => number(random),
        1 => date(random),
        _ => text(random),
    }
}

/// Without what would end a line or a request by itself.
pub(super) fn on_one_line(value: Vec<u8>) -> Vec<u8> {
    value.into_iter().filter(|byte| *byte >= b' ' || *byte == b'\t').collect()
}
