//! XML documents of every operation that takes one, with more in them than they need, and what can be wrong with them.

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::pools::{any, bytes, date, number, pick, text};

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// A document with many of its elements, by the sub-resource that it is of.
pub(super) fn full(subresource: &str) -> Option<String> {
    let content = match subresource {
        "acl" => {
            "<AccessControlPolicy><Owner><ID>x</ID></Owner><AccessControlList><Grant><Grantee \
             xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\"><URI>http://acs.amazonaws.com/groups/global/AllUsers\
             </URI></Grantee><Permission>READ</Permission></Grant><Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
             xsi:type=\"CanonicalUser\"><ID>x</ID><DisplayName>y</DisplayName></Grantee><Permission>FULL_CONTROL</Permission></Grant>\
             </AccessControlList></AccessControlPolicy>"
        }
        "cors" => {
            "<CORSConfiguration><CORSRule><ID>a</ID><AllowedHeader>*</AllowedHeader><AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT\
             </AllowedMethod><AllowedOrigin>http://*.a.lan</AllowedOrigin><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>3000</MaxAgeSeconds>\
             </CORSRule></CORSConfiguration>"
        }
        "delete" => {
            "<Delete><Quiet>true</Quiet><Object><Key>nothing</Key><VersionId>null</VersionId><ETag>x</ETag><Size>4</Size><LastModifiedTime>\
             Tue, 01 Oct 2024 10:00:00 GMT</LastModifiedTime></Object><Object><Key>other</Key></Object></Delete>"
        }
        "lifecycle" => {
            "<LifecycleConfiguration><Rule><ID>a</ID><Status>Enabled</Status><Filter><And><Prefix>b</Prefix><Tag><Key>c</Key><Value>d</Value>\
             </Tag><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan><ObjectSizeLessThan>100</ObjectSizeLessThan></And></Filter><Expiration>\
             <Days>30</Days></Expiration><NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays><NewerNoncurrentVersions>2\
             </NewerNoncurrentVersions></NoncurrentVersionExpiration></Rule><Rule><ID>e</ID><Status>Enabled</Status><Prefix>f</Prefix>\
             <Expiration><Date>2100-01-01T00:00:00Z</Date></Expiration><AbortIncompleteMultipartUpload><DaysAfterInitiation>7\
             </DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>"
        }
        "object-lock" => {
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode>\
             <Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>"
        }
        "tagging" => {
            "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag><Tag><Key>c</Key><Value></Value></Tag></TagSet></Tagging>"
        }
        "publicAccessBlock" => {
            "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls>\
             <BlockPublicPolicy>false</BlockPublicPolicy><RestrictPublicBuckets>false</RestrictPublicBuckets></PublicAccessBlockConfiguration>"
        }
        "versioning" => {
            "<VersioningConfiguration><Status>Suspended</Status><MfaDelete>Disabled</MfaDelete></VersioningConfiguration>"
        }
        "uploadId" => {
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"d41d8cd98f00b204e9800998ecf8427e\"</ETag><ChecksumCRC32>AAAAAA==\
             </ChecksumCRC32></Part><Part><PartNumber>2</PartNumber><ETag>d41d8cd98f00b204e9800998ecf8427e</ETag></Part>\
             </CompleteMultipartUpload>"
        }
        "" => {
            "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags>\
             </CreateBucketConfiguration>"
        }
        _ => return None,
    };
    Some(content.to_owned())
}

/// Where the elements of a document begin and end: the tags from `<` to behind `>`.
fn tags(document: &[u8]) -> Vec<(usize, usize)> {
    let mut tags = Vec::new();
    let mut at = 0;
    while let Some(begin) = document[at..].iter().position(|byte| *byte == b'<').map(|found| at + found) {
        let Some(end) = document[begin..].iter().position(|byte| *byte == b'>').map(|found| begin + found + 1) else {
            break;
        };
        tags.push((begin, end));
        at = end;
    }
    tags
}

/// The texts between an opening tag and the next tag.
fn texts(document: &[u8]) -> Vec<(usize, usize)> {
    let tags = tags(document);
    tags.windows(2)
        .filter(|pair| document[pair[0].0 + 1] != b'/' && pair[0].1 < pair[1].0)
        .map(|pair| (pair[0].1, pair[1].0))
        .collect()
}

/// An innermost element, from its opening tag to behind its closing one.
fn elements(document: &[u8]) -> Vec<(usize, usize)> {
    let tags = tags(document);
    let is_whole = |pair: &&[(usize, usize)]| document[pair[0].0 + 1] != b'/' && document[pair[1].0 + 1] == b'/';
    tags.windows(2).filter(is_whole).map(|pair| (pair[0].0, pair[1].1)).collect()
}

fn replaced(document: &[u8], range: (usize, usize), with: &[u8]) -> Vec<u8> {
    [&document[..range.0], with, &document[range.1..]].concat()
}

fn one_of(ranges: &[(usize, usize)], random: &mut StdRng) -> Option<(usize, usize)> {
    (!ranges.is_empty()).then(|| *pick(random, ranges))
}

/// Breaks a document.
pub(super) fn damaged(document: &[u8], random: &mut StdRng) -> Vec<u8> {
    match random.random_range(0..10) {
        0..=3 => with_other_value(document, random),
        4 | 5 => with_other_shape(document, random),
        6 | 7 => with_other_text(document, random),
        8 => with_declarations(document, random),
        _ => huge(document, random),
    }
}

/// Another value of one element.
fn with_other_value(document: &[u8], random: &mut StdRng) -> Vec<u8> {
    let Some(range) = one_of(&texts(document), random) else { return text(random) };
    let value = match random.random_range(0..6) {
        0 | 1 => number(random),
        2 => date(random),
        3 => [&b"<![CDATA["[..], &any(random), b"]]>"].concat(),
        4 => pick(
            random,
            &[
                &b"&nothing;"[..],
                b"&#0;",
                b"&#x110000;",
                b"&#xD800;",
                b"&#55555555555555;",
                b"&",
                b"&;",
                b"&#;",
                b"&lt;x&gt;",
                b"&#x1;",
                b"<!-- x -->1",
                b"<?x y?>1",
                b"1<x/>",
            ],
        )
        .to_vec(),
        _ => any(random),
    };
    replaced(document, range, &value)
}

/// Elements that are missing, doubled, renamed, moved or nested.
fn with_other_shape(document: &[u8], random: &mut StdRng) -> Vec<u8> {
    let Some(range) = one_of(&elements(document), random) else { return Vec::new() };
    let element = document[range.0..range.1].to_vec();
    match random.random_range(0..7) {
        0 => replaced(document, range, b""),
        1 => replaced(document, range, &element.repeat(2)),
        2 => replaced(document, range, &element.repeat(random.random_range(50..1200))),
        3 => replaced(document, range, &[&b"<Unknown>"[..], &element, b"</Unknown>"].concat()),
        4 => {
            let others = elements(document);
            let other = others[random.random_range(0..others.len())];
            replaced(document, range, &document[other.0..other.1])
        }
        5 => {
            let all = tags(document);
            let tag = all[random.random_range(0..all.len())];
            replaced(
                document,
                tag,
                &bytes(
                    random,
                    &[b"<Key>", b"</Key>", b"<a/>", b"<>", b"</>", b"< Key>", b"<1>", b"<Key", b"<Key a=1>"],
                ),
            )
        }
        _ => {
            let at = all_but_first(document, random);
            replaced(document, (at, at), b"text")
        }
    }
}

fn all_but_first(document: &[u8], random: &mut StdRng) -> usize {
    let all = tags(document);
    all[random.random_range(0..all.len())].1
}

/// Bytes that are missing, doubled or other ones.
fn with_other_text(document: &[u8], random: &mut StdRng) -> Vec<u8> {
    let mut bytes = document.to_vec();
    if bytes.is_empty() {
        return text(random);
    }
    let at = random.random_range(0..bytes.len());
    match random.random_range(0..8) {
        0 | 1 => bytes.truncate(at),
        2 => bytes[at] = random.random(),
        3 => drop(bytes.remove(at)),
        4 => bytes.insert(at, random.random()),
        5 => bytes.extend(pick(random, &[&b"x"[..], b"<a/>", b"\0", b"]]>", b"<!--", b"<", b"&amp;"]).iter()),
        6 => {
            bytes =
                std::str::from_utf8(document).unwrap_or_default().encode_utf16().flat_map(u16::to_le_bytes).collect();
        }
        _ => {
            bytes = pick(
                random,
                &[
                    &b""[..],
                    b" ",
                    b"\n",
                    b"\xef\xbb\xbf",
                    b"\0",
                    b"{}",
                    b"null",
                    b"<",
                    b"<a",
                    b"<a>",
                    b"</a>",
                    b"<!",
                    b"<?",
                ],
            )
            .to_vec();
        }
    }
    bytes
}

/// Declarations, namespaces, entities and encodings.
fn with_declarations(document: &[u8], random: &mut StdRng) -> Vec<u8> {
    let first = tags(document).first().copied().unwrap_or_default();
    let into_root = |attributes: &str| {
        let end = first.1.saturating_sub(1);
        replaced(document, (end, end), format!(" {attributes}").as_bytes())
    };
    let before = |text: &str| [text.as_bytes(), document].concat();
    let value = |entity: &str, random: &mut StdRng| {
        one_of(&texts(document), random)
            .map_or_else(|| document.to_vec(), |range| replaced(document, range, entity.as_bytes()))
    };
    match random.random_range(0..11) {
        0 => into_root(&format!("xmlns=\"{NAMESPACE}\"")),
        1 => into_root("xmlns=\"http://a.lan/\""),
        2 => into_root("xmlns:s3=\"x\" s3:a=\"b\""),
        3 => into_root("a=\"b\" a=\"c\""),
        4 => into_root("a=b"),
        5 => before("<?xml version=\"1.0\" encoding=\"UTF-16\"?>"),
        6 => before("<?xml version=\"9.9\" encoding=\"ISO-8859-1\" standalone=\"maybe\"?>"),
        7 => before("\u{feff}<?xml version=\"1.0\"?><?xml version=\"1.0\"?>"),
        8 => {
            let mut entities = "<!ENTITY a0 \"lol\">".to_owned();
            for level in 1..12 {
                let inner = format!("&a{};", level - 1).repeat(10);
                entities += &format!("<!ENTITY a{level} \"{inner}\">");
            }
            let laughing = value("&a11;", random);
            [format!("<?xml version=\"1.0\"?><!DOCTYPE x [{entities}]>").as_bytes(), &laughing].concat()
        }
        9 => [&b"<!DOCTYPE x [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>"[..], &value("&x;", random)].concat(),
        _ => String::from_utf8_lossy(document).replace('<', "<s3:").replace("<s3:/", "</s3:").into_bytes(),
    }
}

/// Much of something.
fn huge(document: &[u8], random: &mut StdRng) -> Vec<u8> {
    let depth = *pick(random, &[100, 1000, 20_000, 60_000]);
    match random.random_range(0..6) {
        0 => b"<a>".repeat(depth),
        1 => [b"<a>".repeat(depth), b"</a>".repeat(depth)].concat(),
        2 => {
            let root = tags(document).first().copied().unwrap_or_default();
            replaced(document, (root.1, root.1), &[b"<a>".repeat(depth), b"</a>".repeat(depth)].concat())
        }
        3 => one_of(&texts(document), random)
            .map_or_else(Vec::new, |range| replaced(document, range, &vec![b'x'; depth])),
        4 => [&b"<a "[..], &b"b=\"c\" ".repeat(depth / 10), b"/>"].concat(),
        _ => [b"<!-- -->".repeat(depth / 4), document.to_vec()].concat(),
    }
}

/// Breaks a document of JSON.
pub(super) fn damaged_json(document: &[u8], random: &mut StdRng) -> Vec<u8> {
    let depth = *pick(random, &[100, 1000, 15_000]);
    let values: &[&[u8]] = &[
        b"null",
        b"0",
        b"-1",
        b"1e999",
        b"true",
        b"[]",
        b"{}",
        b"[[]]",
        b"\"\"",
        b"\"*\"",
        b"\"\\ud800\"",
        b"\"\\u0000\"",
        b"\"s3:*\"",
        b"\"arn:aws:s3:::\"",
        b"\"arn:aws:s3:::***********************************************\"",
        b"{\"AWS\":[]}",
        b"{\"AWS\":\"*\"}",
        b"{\"StringLike\":{\"s3:prefix\":\"${aws:username}${\"}}",
        b"{\"IpAddress\":{\"aws:SourceIp\":\"1.2.3.4/99\"}}",
        b"{\"IpAddress\":{\"aws:SourceIp\":[\"::/0\",\"1/1\",\"\"]}}",
        b"{\"NumericLessThan\":{\"s3:max-keys\":\"1e400\"}}",
        b"{\"DateGreaterThan\":{\"aws:CurrentTime\":\"9999-12-31T23:59:59Z\"}}",
        b"{\"Bool\":{\"aws:SecureTransport\":\"maybe\"}}",
        b"{\"Null\":{\"s3:x-amz-acl\":[true,\"false\"]}}",
        b"{\"ForAllValues:StringEquals\":{\"aws:userid\":[]}}",
    ];
    let strings: Vec<(usize, usize)> = {
        let quotes: Vec<usize> =
            document.iter().enumerate().filter(|(_, byte)| **byte == b'"').map(|(at, _)| at).collect();
        quotes.chunks_exact(2).map(|pair| (pair[0], pair[1] + 1)).collect()
    };
    match random.random_range(0..10) {
        0..=3 => {
            one_of(&strings, random).map_or_else(Vec::new, |range| replaced(document, range, &bytes(random, values)))
        }
        4 => {
            let text = String::from_utf8_lossy(&any(random)).into_owned();
            let text = serde_json::to_string(&text).unwrap_or_default();
            one_of(&strings, random).map_or_else(Vec::new, |range| replaced(document, range, text.as_bytes()))
        }
        5 => b"[".repeat(depth),
        6 => [b"{\"Statement\":".repeat(depth), b"}".repeat(depth)].concat(),
        7 => {
            let statement = replaced(document, (0, document.len()), b"");
            [&b"{\"Statement\":["[..], &statement, b"{\"Effect\":\"Deny\"},".repeat(depth / 50).as_slice(), b"{}]}"]
                .concat()
        }
        _ => with_other_text(document, random),
    }
}
