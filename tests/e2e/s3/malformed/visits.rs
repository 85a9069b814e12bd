//! Requests of visitors to a website, and what can be wrong with them.

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::pools::{any, bytes, date, number, on_one_line, pick, size, text};
use super::request::{Request, encoded};

/// Where the websites of buckets are.
pub(super) const DOMAIN: &str = "site.lan";

/// Pages that are there, folders with an index, what a rule sends elsewhere, and what is missing.
const PATHS: [&str; 10] =
    ["/", "/index.html", "/folder", "/folder/", "/key", "/old/page", "/missing", "/missing/", "/moved", "/error.html"];

/// The website of a test's bucket.
pub(super) const CONFIGURATION: &str = "<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument>\
    <ErrorDocument><Key>error.html</Key></ErrorDocument><RoutingRules><RoutingRule><Condition><KeyPrefixEquals>old/</KeyPrefixEquals>\
    </Condition><Redirect><ReplaceKeyPrefixWith>new/</ReplaceKeyPrefixWith></Redirect></RoutingRule></RoutingRules></WebsiteConfiguration>";

/// A good visit to a bucket.
pub(super) fn good(bucket: &str, path: &str) -> Request {
    Request::new("GET", path).header("host", format!("{bucket}.{DOMAIN}"))
}

/// A visit to a bucket that has one thing wrong with it, beside what else is broken later.
pub(super) fn broken(bucket: &str, random: &mut StdRng) -> Request {
    let path = PATHS[random.random_range(0..PATHS.len())];
    let mut request = good(bucket, path);
    if random.random_bool(0.1) {
        request.method = b"HEAD".to_vec();
    }
    match random.random_range(0..12) {
        0 | 1 => request.set("host", host(bucket, random)),
        2 => request.add("host", host(bucket, random)),
        3..=5 => request.path = [&request.path, &b"/"[..], &encoded(&any(random))].concat(),
        6 => request.path = [&b"/old/"[..], &encoded(&any(random))].concat(),
        7 => request.path = [&b"/"[..], &on_one_line(text(random))].concat(),
        8 => request.path = [&b"/"[..], &b"a%2F".repeat(size(random).min(1500))].concat(),
        9 => request.add("range", on_one_line(text(random))),
        10 => request.add("if-modified-since", on_one_line(date(random))),
        _ => request.query.push((on_one_line(any(random)), Some(encoded(&any(random))))),
    }
    request
}

fn host(bucket: &str, random: &mut StdRng) -> Vec<u8> {
    let names = [
        format!(".{DOMAIN}"),
        DOMAIN.to_owned(),
        format!("{bucket}.{DOMAIN}."),
        format!("{bucket}.{DOMAIN}:0"),
        format!("{bucket}.{DOMAIN}:99999"),
        format!("{bucket}.{DOMAIN}:x"),
        format!("a.{bucket}.{DOMAIN}"),
        format!("nothing-here.{DOMAIN}"),
        format!("-.{DOMAIN}"),
        format!("{}.{DOMAIN}", "a".repeat(size(random).min(8000))),
        format!("{bucket}.{}", DOMAIN.to_uppercase()),
        format!("user@{bucket}.{DOMAIN}"),
        format!("[::1].{DOMAIN}"),
        format!("xn--a.{DOMAIN}"),
    ];
    match random.random_range(0..4) {
        0 => [on_one_line(any(random)), format!(".{DOMAIN}").into_bytes()].concat(),
        1 => {
            bytes(random, &[b"", b" ", b":", b"\xff.site.lan", b"\xc3\xa9.site.lan", b"a b.site.lan", b"a,b.site.lan"])
        }
        2 => [format!("{bucket}.{DOMAIN}:").into_bytes(), on_one_line(number(random))].concat(),
        _ => pick(random, &names).clone().into_bytes(),
    }
}
