//! What stands beside the operations: ids, errors, health, `Expect`, connections that end early.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::client::{Payload, Request, Signature};
use crate::harness::Endpoint;

#[tokio::test]
async fn every_answer_has_its_ids_and_every_error_its_form() {
    let endpoint = Endpoint::with_bucket("photos").await;
    endpoint.put("/photos/key", b"x").await;
    let mut seen = Vec::new();
    for (method, path, status) in [
        ("GET", "/", 200),
        ("GET", "/photos/key", 200),
        ("GET", "/photos/missing key&", 404),
        ("GET", "/nothing-here", 404),
        ("PUT", "/Bad_Name", 400),
        ("DELETE", "/photos?q:acl", 405),
        ("PATCH", "/photos", 405),
        ("POST", "/photos/key?q:restore", 501),
        ("GET", "/.healthCheck", 200),
        ("OPTIONS", "/photos", 400),
        ("DELETE", "/photos", 409),
    ] {
        let answer = endpoint.ada.send(Request::new(method, path)).await;
        assert_eq!(answer.status, status, "{method} {path} {}", answer.text());
        let id = answer.header("x-amz-request-id").expect("a request id").to_owned();
        assert!(id.len() == 16 && answer.header("x-amz-id-2").is_some_and(|id| id.len() > 20), "{method} {path}");
        if status >= 400 {
            assert_eq!(answer.header("content-type"), Some("application/xml"));
            assert_eq!(answer.element("RequestId"), id);
            assert!(!answer.element("Message").is_empty(), "{}", answer.text());
            let resource = crate::client::encode_path(path.split("?q:").next().unwrap_or(path));
            assert_eq!(answer.element("Resource"), resource);
        }
        seen.push(id);
    }
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), count);
    let head = endpoint.ada.send(Request::new("HEAD", "/photos/missing")).await;
    assert_eq!((head.status, head.body.len()), (404, 0));
    assert!(head.header("x-amz-request-id").is_some());
}

#[tokio::test]
async fn the_health_check_needs_no_signature() {
    let endpoint = Endpoint::start().await;
    for method in ["GET", "HEAD"] {
        let answer = endpoint.ada.send(Request::new(method, "/.healthCheck").signed(Signature::None)).await;
        assert_eq!((answer.status, answer.body.is_empty()), (200, method == "HEAD"));
    }
}

#[tokio::test]
async fn malformed_requests_are_refused_in_words() {
    let endpoint = Endpoint::with_bucket("photos").await;
    for target in ["/photos/%zz", "/photos/%ff%fe", "/%00"] {
        let request = Request { path: target.to_owned(), ..Request::new("GET", "/") };
        let answer = endpoint.ada.send(request).await;
        assert!((400..500).contains(&answer.status), "{target} {}", answer.text());
        assert!(!answer.element("Code").is_empty());
    }
}

/// Writes the head of a request that waits for `100 Continue`; gives the first line of what comes back, and the connection.
fn expect_continue(endpoint: &Endpoint, request: Request) -> (String, TcpStream, Vec<u8>) {
    let wire = endpoint.ada.wire(request.header("expect", "100-continue"));
    let end = wire.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
    let mut stream = TcpStream::connect(endpoint.addr).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream.write_all(&wire[..end]).expect("sent");
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        stream.read_exact(&mut byte).expect("an answer");
        line.push(byte[0]);
    }
    (String::from_utf8_lossy(&line).trim().to_owned(), stream, wire[end..].to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_100_is_told_to_go_on_or_refused_at_once() {
    let endpoint = Endpoint::with_bucket("photos").await;
    for signature in [Signature::V2, Signature::V4(Payload::Unsigned)] {
        let good = Request::new("PUT", "/photos/key").body("content").signed(signature.clone());
        let (line, mut stream, body) = expect_continue(&endpoint, good);
        assert_eq!(line, "HTTP/1.1 100 Continue");
        stream.write_all(&body).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.contains("HTTP/1.1 200 OK"), "{answer}");
        let refused = Request::new("PUT", "/no-such-bucket/key").body("content").signed(signature.clone());
        assert_eq!(expect_continue(&endpoint, refused).0, "HTTP/1.1 404 Not Found");
        let mut wrong = Request::new("PUT", "/photos/key").body("content").signed(signature);
        wrong = wrong.unsigned_header("x-amz-meta-a", "b");
        assert_eq!(expect_continue(&endpoint, wrong).0, "HTTP/1.1 403 Forbidden");
    }
}

/// All that comes back for bytes of a client that would keep its connection.
fn kept(endpoint: &Endpoint, sent: &[u8], until: &str) -> String {
    let sent = String::from_utf8_lossy(sent).replacen("connection: close\r\n", "", 1);
    let mut stream = TcpStream::connect(endpoint.addr).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream.write_all(sent.as_bytes()).expect("sent");
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&heard).contains(until) {
        let size = stream.read(&mut buffer).expect("an answer");
        assert!(size > 0, "{}", String::from_utf8_lossy(&heard));
        heard.extend_from_slice(&buffer[..size]);
    }
    String::from_utf8_lossy(&heard).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_left_waiting_for_100_is_told_that_the_connection_ends() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let refused = || Request::new("PUT", "/no-such-bucket/key").body("content");
    let wire = endpoint.ada.wire(refused().header("expect", "100-continue"));
    let head = &wire[..wire.len() - "content".len()];
    let answer = kept(&endpoint, head, "</Error>");
    assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
    // Whose body is read, or who has none, may go on.
    let whole = endpoint.ada.wire(refused());
    let empty = endpoint.ada.wire(Request::new("PUT", "/no-such-bucket/key").header("expect", "100-continue"));
    for wire in [whole, empty] {
        let answer = kept(&endpoint, &wire, "</Error>");
        assert!(answer.starts_with("HTTP/1.1 404") && !answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_may_leave_early() {
    let endpoint = Endpoint::with_bucket("photos").await;
    let body = vec![7; 16 << 20];
    endpoint.put("/photos/large", &body).await;
    for _ in 0..4 {
        let wire = endpoint.ada.wire(Request::new("GET", "/photos/large"));
        let mut stream = TcpStream::connect(endpoint.addr).expect("the server listens");
        stream.write_all(&wire).expect("sent");
        let mut head = [0; 4096];
        stream.read_exact(&mut head).expect("the beginning");
        assert!(head.starts_with(b"HTTP/1.1 200 OK"));
    }
    assert_eq!(endpoint.get("/photos/large").await.body.len(), body.len());
}
