//! A request that is being made: bytes everywhere, for it need not be text when it was broken.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Encodes a parameter.
pub(super) fn encoded(value: &[u8]) -> Vec<u8> {
    percent_encode(value, &UNRESERVED).to_string().into_bytes()
}

/// A request before it is signed, and the same request afterwards.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Vec<u8>,
    /// The path as it goes over the wire.
    pub(super) path: Vec<u8>,
    /// Parameters as they go over the wire; without a value there is no `=`.
    pub(super) query: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub(super) headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) version: Vec<u8>,
    pub(super) body: Vec<u8>,
    /// Whether the length of the body is told, where no header says anything of it.
    pub(super) tells_length: bool,
}

impl Request {
    pub(super) fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.as_bytes().to_vec(),
            path: path.as_bytes().to_vec(),
            query: Vec::new(),
            headers: Vec::new(),
            version: b"HTTP/1.1".to_vec(),
            body: Vec::new(),
            tells_length: true,
        }
    }

    /// Adds the parameters of a query that is encoded already.
    pub(super) fn query(mut self, query: &str) -> Self {
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').map_or((pair, None), |(name, value)| (name, Some(value)));
            self.query.push((name.as_bytes().to_vec(), value.map(|value| value.as_bytes().to_vec())));
        }
        self
    }

    pub(super) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.add(name, value);
        self
    }

    pub(super) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(super) fn add(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.headers.push((name.as_bytes().to_vec(), value.as_ref().to_vec()));
    }

    /// Puts a header in the place of all of its name.
    pub(super) fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.remove(name);
        self.add(name, value);
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.headers.retain(|(given, _)| !given.eq_ignore_ascii_case(name.as_bytes()));
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name.as_bytes()))
    }

    pub(super) fn query_bytes(&self) -> Vec<u8> {
        let pair = |(name, value): &(Vec<u8>, Option<Vec<u8>>)| match value {
            Some(value) => [name, &b"="[..], value].concat(),
            None => name.clone(),
        };
        self.query.iter().map(pair).collect::<Vec<_>>().join(&b'&')
    }

    /// The bytes of the head, and how many of them are the request line.
    pub(super) fn head(&self) -> Vec<u8> {
        let query = self.query_bytes();
        let mark: &[u8] = if query.is_empty() { b"" } else { b"?" };
        let mut head = [&self.method, &b" "[..], &self.path, mark, &query, b" ", &self.version, b"\r\n"].concat();
        for (name, value) in &self.headers {
            head.extend([name, &b": "[..], value, b"\r\n"].concat());
        }
        let is_told = self.has("content-length") || self.has("transfer-encoding");
        let may_have_body = self.method == b"PUT" || self.method == b"POST" || !self.body.is_empty();
        if self.tells_length && !is_told && may_have_body {
            head.extend(format!("content-length: {}\r\n", self.body.len()).bytes());
        }
        head.extend(b"\r\n");
        head
    }
}
