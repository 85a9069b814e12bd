//! Bytes that may not even be HTTP: requests that never were any, and damage to the bytes of a head.

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::pools::{any, on_one_line, pick};

/// What is no request.
pub(super) fn garbage(random: &mut StdRng) -> Vec<u8> {
    let known: &[&[u8]] = &[
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / \r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\n\n",
        b"\0\0\0\0",
        b"GET / HTTP/1.1\r\nhost\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x05\x01\x00",
        b"GET / HTTP/1.1\r\nhost: a\r\n folded: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost : a\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"{}",
        b"\n\n\n",
        b"GET / HTTP/1.1\r\n: empty\r\n\r\n",
        b"GET / HTTP/1.1\rhost: a\r\r",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    ];
    let mut bytes = if random.random_bool(0.5) { pick(random, known).to_vec() } else { any(random) };
    if random.random_bool(0.3) {
        bytes.extend(any(random));
    }
    bytes
}

/// Damage to the bytes of a head.
pub(super) fn damaged(mut head: Vec<u8>, random: &mut StdRng) -> Vec<u8> {
    let at = random.random_range(0..head.len());
    match random.random_range(0..9) {
        0 => head[at] = random.random(),
        1 => drop(head.remove(at)),
        2 => head.insert(at, *pick(random, &[0, b'\r', b'\n', b' ', b':', 0xff])),
        3 => head.retain(|byte| *byte != b'\r'),
        4 => {
            let versions =
                [&b"HTTP/1.0"[..], b"HTTP/2.0", b"HTTP/0.9", b"HTTP/9.9", b"HTTP/1.1 ", b"http/1.1", b"HTTP/1.", b""];
            let text = head.windows(8).position(|window| window == b"HTTP/1.1");
            if let Some(at) = text {
                head.splice(at..at + 8, pick(random, &versions).iter().copied());
            }
        }
        5 => head.truncate(at),
        6 => {
            let end = head.len() - 2;
            let many = random.random_range(60..300);
            let lines: Vec<u8> = (0..many).flat_map(|at| format!("x-{at}: y\r\n").into_bytes()).collect();
            head.splice(end..end, lines);
        }
        7 => {
            let end = head.len() - 2;
            let line = [&b"x-long: "[..], &vec![b'y'; *pick(random, &[10_000, 100_000, 600_000])], b"\r\n"].concat();
            head.splice(end..end, line);
        }
        _ => {
            let end = head.len() - 2;
            let line = [&on_one_line(any(random)), &b"\r\n"[..]].concat();
            head.splice(end..end, line);
        }
    }
    head
}
