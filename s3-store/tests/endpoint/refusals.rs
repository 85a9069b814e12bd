//! Requests that are refused before their body was read: what costs nothing must cost the endpoint nothing, and who sends before
//! listening still hears why.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use s3_store::Settings;

use crate::answer::Answer;
use crate::client::{Client, Payload, Request, Signature};
use crate::harness::Endpoint;

/// Opens a connection and sends the beginning of a request.
fn begin(client: &Client, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(client.addr).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    stream.write_all(bytes).expect("sent");
    stream
}

/// What comes back until the end of the error document.
fn read_error(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut some = [0; 1024];
    while !answer.ends_with(b"</Error>") {
        let count = stream.read(&mut some).expect("an answer before the body is whole");
        assert!(count > 0, "the connection ended without an answer");
        answer.extend_from_slice(&some[..count]);
    }
    String::from_utf8(answer).expect("text")
}

fn delete_many(size_bytes: usize) -> Request {
    Request::new("POST", "/photos").query("delete", "").body(vec![b' '; size_bytes])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_signed_is_refused_without_its_body() {
    let endpoint = Endpoint::with_bucket("photos").await;
    for request in [
        delete_many(1 << 20),
        Request::new("PUT", "/new-bucket").body(vec![b' '; 1 << 20]),
        Request::new("POST", "/photos/key").query("uploadId", "x").body(vec![b' '; 1 << 20]),
        Request::new("PUT", "/photos/key").body(vec![b' '; 1 << 20]),
    ] {
        let wire = endpoint.ada.wire(request.signed(Signature::None));
        let mut stream = begin(&endpoint.ada, &wire[..wire.len() - 1]);
        let answer = read_error(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("<Code>AccessDenied</Code>"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_first_hears_why_it_was_refused() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let stranger = Client { access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(), ..endpoint.ada.clone() };
    let put = || Request::new("PUT", "/photos/key").body(vec![7; 24 << 20]);
    let form = || put().header("content-type", "multipart/form-data; boundary=x");
    let post = |request: Request| Request { method: "POST".to_owned(), ..request };
    for (client, request, code) in [
        (&stranger, put(), "InvalidAccessKeyId"),
        (&stranger, put().signed(Signature::V2), "InvalidAccessKeyId"),
        (&endpoint.ada, put().signed(Signature::None), "AccessDenied"),
        (&endpoint.ada, put().header("x-amz-security-token", "t"), "InvalidToken"),
        (&endpoint.ada, post(form()), "InvalidArgument"),
    ] {
        let wire = client.wire(request);
        let mut stream = TcpStream::connect(client.addr).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        stream.write_all(&wire).expect("the whole body is taken");
        assert!(read_error(&mut stream).contains(&format!("<Code>{code}</Code>")), "{code}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_whose_body_is_not_taken_whole_is_said_to_end() {
    let endpoint = Endpoint::with_bucket("photos").await;
    for (size_bytes, closes) in [(1_u64 << 40, true), (1 << 20, false)] {
        let put = Request::new("PUT", "/photos/key")
            .header("content-length", &size_bytes.to_string())
            .signed(Signature::V4(Payload::Unsigned));
        let stranger = Client { access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(), ..endpoint.ada.clone() };
        let wire = String::from_utf8(stranger.wire(put)).expect("text").replace("connection: close\r\n", "");
        let answer = read_error(&mut begin(&stranger, wire.as_bytes())).to_ascii_lowercase();
        assert!(answer.contains("invalidaccesskeyid"), "{answer}");
        assert_eq!(answer.contains("connection: close"), closes, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_share_a_bounded_memory() {
    let settings =
        Settings { document_size_bytes_max: 64 << 10, documents_size_bytes_max: 64 << 10, ..Settings::default() };
    let endpoint = Endpoint::start_with(settings).await;
    endpoint.make_bucket("photos").await;
    let document = "<Delete><Object><Key>a</Key></Object></Delete>";
    let ask = async || -> Answer {
        let request = Request::new("POST", "/photos").query("delete", "").body(document);
        endpoint.ada.send(request).await
    };
    assert_eq!(ask().await.status, 200);
    // The word to go on comes when the body is asked for, and so after its memory was taken.
    let wire = endpoint.ada.wire(delete_many(64 << 10).header("expect", "100-continue"));
    let mut held = begin(&endpoint.ada, &wire[..wire.len() - (64 << 10)]);
    let mut word = [0; 25];
    held.read_exact(&mut word).expect("the word to go on");
    assert_eq!(&word, b"HTTP/1.1 100 Continue\r\n\r\n");
    let refused = ask().await;
    assert_eq!((refused.told(), refused.header("retry-after")), ("503 SlowDown".to_owned(), Some("1")));
    // What has no document is not in its way.
    assert_eq!(endpoint.ada.send(Request::new("GET", "/photos")).await.status, 200);
    drop(held);
    let freed = async {
        while ask().await.status != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), freed).await.expect("the memory is given back");
}
