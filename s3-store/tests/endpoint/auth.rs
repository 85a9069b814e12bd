//! Signatures: what is taken, what is refused, and in which order.

use crate::answer::exchange;
use crate::client::{BASIC, Client, Payload, Request, Signature};
use crate::harness::Endpoint;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

fn now_s() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

fn all_signatures() -> Vec<Signature> {
    vec![
        Signature::V4(Payload::Hash),
        Signature::V4(Payload::Unsigned),
        Signature::V4Link(600),
        Signature::V2,
        Signature::V2Link(now_s() + 600),
    ]
}

#[tokio::test]
async fn every_signature_writes_and_reads() {
    let endpoint = Endpoint::with_bucket("photos").await;
    for (number, signature) in all_signatures().into_iter().enumerate() {
        let path = format!("/photos/dir {number}/a+b%?ü.bin");
        let put = endpoint.ada.send(Request::new("PUT", &path).body("content").signed(signature.clone())).await;
        assert_eq!(put.told(), "200", "{signature:?} {}", put.text());
        let got = endpoint.ada.send(Request::new("GET", &path).signed(signature.clone())).await;
        assert_eq!((got.told().as_str(), got.text().as_str()), ("200", "content"), "{signature:?}");
    }
}

#[tokio::test]
async fn any_region_is_taken() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let trailer = || ("x-amz-checksum-crc32".to_owned(), "jNwWgw==".to_owned());
    for region in ["auto", "us-east-1", "eu-west-3", "nowhere-7", "US", "my_zone", "Zone.7", ""] {
        let client = Client { region: region.to_owned(), ..endpoint.ada.clone() };
        for payload in [
            Payload::SignedChunks(64 << 10, None),
            Payload::SignedChunks(64 << 10, Some(trailer())),
            Payload::UnsignedChunks(64 << 10, trailer()),
        ] {
            let put = || Request::new("PUT", "/photos/a+b %ü").body("x").signed(Signature::V4(payload.clone()));
            assert_eq!(client.send(put()).await.told(), "200", "{region} {payload:?}");
            let wrong = Client { secret_key: "wrong".to_owned(), ..client.clone() };
            assert_eq!(wrong.send(put()).await.told(), "403 SignatureDoesNotMatch", "{region} {payload:?}");
        }
        for signature in [Signature::V4(Payload::Hash), Signature::V4Link(60), Signature::V4(Payload::Unsigned)] {
            let put = Request::new("PUT", "/photos/a+b %ü")
                .header("x-amz-meta-text", "two  words")
                .body("x")
                .signed(signature.clone());
            assert_eq!(client.send(put).await.told(), "200", "{region}");
            let listed = client
                .send(Request::new("GET", "/photos?q:prefix=a%2Bb%20&delimiter=%2F").signed(signature.clone()))
                .await;
            assert_eq!((listed.told().as_str(), listed.elements("Key").len()), ("200", 1), "{region}");
            let wrong = Client { secret_key: "wrong".to_owned(), ..client.clone() };
            let told = wrong.send(Request::new("GET", "/photos").signed(signature)).await.told();
            assert_eq!(told, "403 SignatureDoesNotMatch", "{region}");
        }
    }
}

#[tokio::test]
async fn an_unknown_key_is_said_before_anything_else() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let unknown = Client { access_key: "00000000000000000000".to_owned(), ..endpoint.ada.clone() };
    let stale = Client { skew_s: -7200, ..unknown.clone() };
    let mut signatures = all_signatures();
    signatures.extend([Signature::V4Link(700_000), Signature::V2Link(1), Signature::V2Link(now_s() + 100_000_000)]);
    for signature in signatures {
        for client in [&unknown, &stale] {
            for path in ["/photos/key", "/no-such-bucket/key", "/Bad_Bucket"] {
                let told = client.send(Request::new("GET", path).signed(signature.clone())).await.told();
                assert_eq!(told, "403 InvalidAccessKeyId", "{signature:?} {path}");
            }
        }
    }
    // Nor do a wrong service, a wrong scope date and a session token come first.
    let header = format!(
        "AWS4-HMAC-SHA256 Credential={}/20000101/x/sts/aws4_request, SignedHeaders=host, Signature=00",
        unknown.access_key
    );
    let request = Request::new("GET", "/photos").signed(Signature::None).header("authorization", &header);
    let answer = endpoint.ada.send(request.header("x-amz-security-token", "token")).await;
    assert_eq!(answer.told(), "403 InvalidAccessKeyId");
}

#[tokio::test]
async fn keys_that_cannot_exist_are_unknown() {
    let endpoint = Endpoint::with_bucket("photos").await;
    for access_key in ["a b", "", "%", "'--", &"x".repeat(500)] {
        let client = Client { access_key: access_key.to_owned(), ..endpoint.ada.clone() };
        for signature in all_signatures() {
            let told = client.send(Request::new("GET", "/photos").signed(signature.clone())).await.told();
            assert_eq!(told, "403 InvalidAccessKeyId", "{access_key:?} {signature:?}");
        }
    }
}

#[tokio::test]
async fn a_wrong_secret_is_refused() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let wrong = Client { secret_key: "wrong".to_owned(), ..endpoint.ada.clone() };
    for signature in all_signatures() {
        let told = wrong.send(Request::new("GET", "/photos").signed(signature.clone())).await.told();
        assert_eq!(told, "403 SignatureDoesNotMatch", "{signature:?}");
    }
}

#[tokio::test]
async fn clocks_may_be_fifteen_minutes_off() {
    let endpoint = Endpoint::with_bucket("photos").await;
    for signature in [Signature::V4(Payload::Hash), Signature::V2] {
        for (skew_s, told) in
            [(-800, "200"), (800, "200"), (-1000, "403 RequestTimeTooSkewed"), (1000, "403 RequestTimeTooSkewed")]
        {
            let client = Client { skew_s, ..endpoint.ada.clone() };
            let answer = client.send(Request::new("GET", "/photos").signed(signature.clone())).await;
            assert_eq!(answer.told(), told, "{signature:?} {skew_s}");
        }
    }
}

#[tokio::test]
async fn version_2_dates_must_be_dates() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let send = |name: &'static str, value: &str| {
        endpoint.ada.send(Request::new("GET", "/photos").signed(Signature::V2).header(name, value))
    };
    assert_eq!(send("date", "yesterday").await.told(), "403 AccessDenied");
    assert_eq!(send("x-amz-date", "soon").await.told(), "403 AccessDenied");
    // The form of the XenServer plug-in, and an old one that was signed long ago.
    let now = OffsetDateTime::now_utc();
    let plug_in = now.format(&time::format_description::well_known::Rfc2822).expect("a date");
    assert!(plug_in.ends_with("+0000"), "{plug_in}");
    assert_eq!(send("date", &plug_in).await.told(), "200");
    assert_eq!(send("x-amz-date", &plug_in).await.told(), "200");
    assert_eq!(send("date", "Tue, 01 Oct 2024 10:00:00 GMT").await.told(), "403 RequestTimeTooSkewed");
}

#[tokio::test]
async fn version_4_may_say_its_time_by_the_date() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let now = OffsetDateTime::now_utc();
    let mail = now.format(&Rfc2822).expect("a date");
    let east = now.to_offset(time::UtcOffset::from_hms(2, 0, 0).expect("an offset"));
    let forms = [
        now.format(BASIC).expect("a date"),
        mail.replace("+0000", "GMT"),
        mail.clone(),
        east.format(&Rfc2822).expect("a date"),
    ];
    for (region, signs_date_as_it_stands) in [("us-east-1", false), ("eu-west-3", true), ("US", false), ("US", true)] {
        let client = Client { region: region.to_owned(), signs_date_as_it_stands, ..endpoint.ada.clone() };
        for date in &forms {
            for payload in [Payload::Hash, Payload::Unsigned, Payload::SignedChunks(64 << 10, None)] {
                let put = Request::new("PUT", "/photos/key").header("date", date).body("content");
                let stored = client.send(put.signed(Signature::V4(payload.clone()))).await;
                assert_eq!(stored.told(), "200", "{region} {date} {payload:?} {}", stored.text());
            }
            let got = client.send(Request::new("GET", "/photos/key").header("date", date)).await;
            assert_eq!(got.text(), "content", "{region} {date}");
        }
        let told = async |date: &str| client.send(Request::new("GET", "/photos").header("date", date)).await.told();
        assert_eq!(told("yesterday").await, "403 AccessDenied", "{region}");
        assert_eq!(told("Tue, 01 Oct 2024 10:00:00 GMT").await, "403 RequestTimeTooSkewed", "{region}");
        // The signature is over the date.
        let wire = String::from_utf8(client.wire(Request::new("GET", "/photos").header("date", &mail))).expect("text");
        let later = (now + time::Duration::seconds(1)).format(&Rfc2822).expect("a date");
        let wire = wire.replace(&format!("date: {mail}"), &format!("date: {later}"));
        let addr = client.addr;
        let answer = tokio::task::spawn_blocking(move || exchange(addr, wire.as_bytes())).await.expect("an answer");
        assert_eq!(answer.told(), "403 SignatureDoesNotMatch", "{region}");
    }
}

/// A date is replaced in the bytes of a signed request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_4_dates_must_be_dates() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let day = OffsetDateTime::now_utc().year().to_string();
    for (signature, before, told) in [
        (Signature::V4(Payload::Hash), "x-amz-date: ", "403 AccessDenied"),
        (Signature::V4(Payload::Hash), "Credential=", "400 AuthorizationHeaderMalformed"),
        (Signature::V4Link(60), "X-Amz-Date=", "400 AuthorizationQueryParametersError"),
        (Signature::V4Link(60), "X-Amz-Credential=", "400 AuthorizationQueryParametersError"),
    ] {
        let wire = endpoint.ada.wire(Request::new("GET", "/photos").signed(signature.clone()));
        let wire = String::from_utf8(wire).expect("text");
        let at = wire.find(before).expect("it is there");
        for wrong in ["../.", "0x0a", "----", "zzzz"] {
            let bytes = [&wire[..at], &wire[at..].replacen(&day, wrong, 1)].concat();
            assert_eq!(exchange(endpoint.ada.addr, bytes.as_bytes()).told(), told, "{signature:?} {wrong}");
        }
    }
}

#[tokio::test]
async fn links_end() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let told = |signature: Signature, skew_s: i64| {
        let client = Client { skew_s, ..endpoint.ada.clone() };
        async move { client.send(Request::new("GET", "/photos").signed(signature)).await.told() }
    };
    assert_eq!(told(Signature::V4Link(604_800), 0).await, "200");
    assert_eq!(told(Signature::V4Link(604_801), 0).await, "403 AuthorizationQueryParametersError");
    assert_eq!(told(Signature::V4Link(0), 0).await, "403 AccessDenied");
    assert_eq!(told(Signature::V4Link(-7), 0).await, "403 AuthorizationQueryParametersError");
    assert_eq!(told(Signature::V4Link(60), -120).await, "403 AccessDenied");
    assert_eq!(told(Signature::V4Link(60), 1000).await, "403 RequestTimeTooSkewed");
    assert_eq!(told(Signature::V2Link(now_s() - 1), 0).await, "403 AccessDenied");
    assert_eq!(told(Signature::V2Link(now_s() + 604_700), 0).await, "200");
    assert_eq!(told(Signature::V2Link(now_s() + 605_000), 0).await, "403 AccessDenied");
}

/// Version 2 covers a list of parameters, each once. What it does not cover must not make another operation of a link.
#[tokio::test]
async fn a_link_cannot_be_turned_into_another_operation() {
    const TAGS: &str = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
    let endpoint = Endpoint::with_bucket("photos").await;
    endpoint.put("/photos/inbox", b"old").await;
    let link = || Request::new("PUT", "/photos/inbox").signed(Signature::V2Link(now_s() + 60));
    for name in ["retention", "legal-hold"] {
        let answer = endpoint.ada.send(link().query(name, "").body("<LegalHold><Status>ON</Status></LegalHold>")).await;
        assert_eq!(answer.told(), "403 AccessDenied", "{name}");
        assert!(answer.element("Message").contains(name), "{}", answer.text());
    }
    let doubled = link().query("tagging", "").query("tagging", "").body(TAGS);
    assert_eq!(endpoint.ada.send(doubled).await.told(), "400 InvalidArgument");
    let doubled = Request::new("PUT", "/photos/inbox").query("tagging", "").query("tagging", "").body(TAGS);
    assert_eq!(endpoint.ada.send(doubled).await.told(), "400 InvalidArgument");
    assert_eq!(endpoint.ada.send(link().body("new")).await.told(), "200");
    for name in ["encryption", "publicAccessBlock", "ownershipControls"] {
        let link = Request::new("DELETE", "/photos").signed(Signature::V2Link(now_s() + 60)).query(name, "");
        assert_eq!(endpoint.ada.send(link).await.told(), "403 AccessDenied", "{name}");
    }
    let tags = endpoint.ada.send(Request::new("GET", "/photos/inbox").query("tagging", "")).await;
    assert!(!tags.text().contains("<Key>"), "{}", tags.text());
}

#[tokio::test]
async fn a_link_cannot_be_given_more_headers() {
    let endpoint = Endpoint::with_bucket("photos").await;
    endpoint.put("/photos/secret", b"secret").await;
    let link = |name: &str, value: &str| {
        Request::new("PUT", "/photos/inbox").body("x").signed(Signature::V4Link(60)).unsigned_header(name, value)
    };
    for (name, value) in [
        ("x-amz-copy-source", "/photos/secret"),
        ("x-amz-meta-owner", "me"),
        ("X-Amz-Storage-Class", "REDUCED_REDUNDANCY"),
        ("x-amz-acl", "private"),
    ] {
        let answer = endpoint.ada.send(link(name, value)).await;
        assert_eq!(answer.told(), "403 AccessDenied", "{name}");
        assert!(answer.element("Message").contains("not signed"), "{}", answer.text());
    }
    assert_eq!(endpoint.get("/photos/inbox").await.told(), "404 NoSuchKey");
    // Signed, they are taken; headers of HTTP itself may come with any client.
    let signed =
        Request::new("PUT", "/photos/inbox").body("x").header("x-amz-meta-owner", "me").signed(Signature::V4Link(60));
    assert_eq!(endpoint.ada.send(signed.unsigned_header("user-agent", "curl")).await.told(), "200");
    assert_eq!(endpoint.get("/photos/inbox").await.header("x-amz-meta-owner"), Some("me"));
    // The same holds for a signature in a header, and for one of version 2, which covers every such header.
    let header = Request::new("PUT", "/photos/inbox").body("x").unsigned_header("x-amz-copy-source", "/photos/secret");
    assert_eq!(endpoint.ada.send(header.clone()).await.told(), "403 AccessDenied");
    assert_eq!(endpoint.ada.send(header.signed(Signature::V2)).await.told(), "403 SignatureDoesNotMatch");
}

#[tokio::test]
async fn session_tokens_are_refused() {
    let endpoint = Endpoint::with_bucket("photos").await;
    for signature in all_signatures() {
        let request = Request::new("GET", "/photos").signed(signature.clone());
        let in_header = endpoint.ada.send(request.clone().header("x-amz-security-token", "token")).await;
        assert_eq!(in_header.told(), "400 InvalidToken", "{signature:?}");
        let in_query = endpoint.ada.send(request.query("X-Amz-Security-Token", "token")).await;
        assert_eq!(in_query.told(), "400 InvalidToken", "{signature:?}");
    }
}

#[tokio::test]
async fn half_and_double_signatures_are_refused() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let get = || Request::new("GET", "/photos");
    let both = get().signed(Signature::V2).query("AWSAccessKeyId", "a").query("Expires", "1").query("Signature", "s");
    assert_eq!(endpoint.ada.send(both).await.told(), "400 InvalidArgument");
    let none = || get().signed(Signature::None);
    assert_eq!(endpoint.ada.send(none().query("AWSAccessKeyId", "a")).await.told(), "403 AccessDenied");
    assert_eq!(
        endpoint.ada.send(none().query("X-Amz-Credential", "a")).await.told(),
        "400 AuthorizationQueryParametersError"
    );
    assert_eq!(endpoint.ada.send(none().header("authorization", "Bearer x")).await.told(), "400 InvalidArgument");
    let no_fields = none().header("authorization", "AWS4-HMAC-SHA256 nothing");
    assert_eq!(endpoint.ada.send(no_fields).await.told(), "400 AuthorizationHeaderMalformed");
}

#[tokio::test]
async fn a_key_that_is_switched_off_is_unknown_at_once() {
    let endpoint = Endpoint::with_bucket("photos").await;
    assert_eq!(endpoint.get("/photos").await.told(), "200");
    let key = engine::AccessKeyId::new(&endpoint.ada.access_key).expect("a key");
    endpoint.engine.set_credential_active(&engine::Caller::LocalOperator, &key, false).await.expect("switched off");
    assert_eq!(endpoint.get("/photos").await.told(), "403 InvalidAccessKeyId");
}

#[tokio::test]
async fn version_2_may_sign_a_bucket_with_a_slash() {
    let endpoint = Endpoint::with_bucket("photos").await;
    // botocore signs `/photos/` and asks for `/photos`: as with a host that stands for the bucket, whose path is the rest.
    let slashed = Request::new("GET", "/photos/").signed(Signature::V2);
    let wire = String::from_utf8(endpoint.ada.wire(slashed)).expect("text").replace("GET /photos/ ", "GET /photos ");
    let addr = endpoint.addr;
    let exchange = |wire: String| tokio::task::spawn_blocking(move || crate::answer::exchange(addr, wire.as_bytes()));
    assert_eq!(exchange(wire.clone()).await.expect("an answer").told(), "200");
    let other = wire.replace("GET /photos ", "GET /other ");
    assert_eq!(exchange(other).await.expect("an answer").told(), "403 SignatureDoesNotMatch");
}
