//! Uploads by HTML form: their fields, their policy, the framing around them, and what can be wrong with each.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;

use super::documents::{damaged, damaged_json, full};
use super::pools::{any, bytes, date, number, on_one_line, pick, text};
use super::request::Request;
use super::sign::Stamp;

/// Which part of a form is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Nothing,
    Fields,
    Policy,
    Signature,
    Framing,
}

/// A form before it is written.
struct Form {
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    file: Vec<u8>,
    boundary: Vec<u8>,
}

/// A signed form for a bucket, broken in one part. Also gives the signature that fits its policy.
pub(super) fn request(bucket: &str, stamp: &Stamp, part: Part, random: &mut StdRng) -> (Request, String) {
    let mut form = Form { fields: fields(random), file: b"the file".to_vec(), boundary: b"xYzZY".to_vec() };
    if part == Part::Fields {
        damage_fields(&mut form.fields, random);
    }
    let by_v4 = random.random_bool(0.5);
    if by_v4 {
        form.add("x-amz-algorithm", b"AWS4-HMAC-SHA256");
        form.add("x-amz-credential", stamp.credential().as_bytes());
        form.add("x-amz-date", stamp.time().as_bytes());
    } else {
        form.add("AWSAccessKeyId", stamp.access_key().as_bytes());
    }
    let mut policy = form.policy(bucket);
    if part == Part::Policy {
        policy = damaged_policy(&policy, random);
    }
    let mut text = STANDARD.encode(&policy);
    if part == Part::Policy && random.random_bool(0.1) {
        text = String::from_utf8_lossy(&on_one_line(any(random))).into_owned();
    }
    let [v4, v2] = stamp.macs_of_policy(&text);
    let (name, right) = if by_v4 { ("x-amz-signature", v4) } else { ("signature", v2) };
    let mut signature = right.clone().into_bytes();
    if part == Part::Signature {
        match random.random_range(0..3) {
            0 => signature = any(random),
            1 => signature[7] = if signature[7] == b'0' { b'1' } else { b'0' },
            _ => drop(form.fields.pop()),
        }
    }
    form.add("policy", text.as_bytes());
    form.add(name, &signature);
    (form.written(bucket, part, random), right)
}

fn fields(random: &mut StdRng) -> Vec<(Vec<u8>, Vec<u8>)> {
    let tags = full("tagging").unwrap_or_default();
    let all = [
        ("acl", "private"),
        ("success_action_status", "201"),
        ("success_action_redirect", "http://a.lan/done"),
        ("Content-Type", "image/png"),
        ("x-amz-meta-color", "grey"),
        ("x-amz-storage-class", "STANDARD"),
        ("tagging", &tags),
        ("x-amz-checksum-sha256", "mUZZ3of3J93N5130QxTzHX82ezv/NH6FLzkFMPKXIMc="),
        ("x-ignore-this", "x"),
    ];
    let some = all.into_iter().filter(|_| random.random_bool(0.3));
    let mut fields: Vec<(Vec<u8>, Vec<u8>)> = some.map(|(name, value)| (name.into(), value.into())).collect();
    fields.push((b"key".to_vec(), b"form/${filename}".to_vec()));
    fields
}

fn damage_fields(fields: &mut Vec<(Vec<u8>, Vec<u8>)>, random: &mut StdRng) {
    let names = [
        "key",
        "acl",
        "tagging",
        "Content-MD5",
        "Content-Type",
        "Cache-Control",
        "Expires",
        "success_action_status",
        "success_action_redirect",
        "redirect",
        "x-amz-meta-a",
        "x-amz-storage-class",
        "x-amz-checksum-crc32",
        "x-amz-checksum-sha256",
        "x-amz-checksum-algorithm",
        "x-amz-object-lock-mode",
        "x-amz-object-lock-retain-until-date",
        "x-amz-object-lock-legal-hold",
        "x-amz-server-side-encryption",
        "x-amz-website-redirect-location",
        "x-amz-security-token",
        "x-amz-tagging",
        "x-amz-acl",
        "bucket",
        "x-amz-copy-source",
        "file",
        "",
        "policy",
        "x-amz-grant-read",
        "submit",
    ];
    let name = pick(random, &names).as_bytes().to_vec();
    match random.random_range(0..8) {
        0..=3 => {
            let value = if name == b"tagging" {
                damaged(full("tagging").unwrap_or_default().as_bytes(), random)
            } else {
                any(random)
            };
            fields.insert(random.random_range(0..=fields.len()), (name, value));
        }
        4 => fields.insert(0, (any(random), any(random))),
        5 => drop(fields.pop()),
        6 => fields
            .extend((0..random.random_range(50..150)).map(|at| (format!("x-ignore-{at}").into_bytes(), b"x".to_vec()))),
        _ => fields.push((name, vec![b'x'; *pick(random, &[19_000, 21_000, 300_000])])),
    }
}

/// Breaks a policy, mostly in ways that leave it JSON.
fn damaged_policy(policy: &[u8], random: &mut StdRng) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(policy) else {
        return damaged_json(policy, random);
    };
    let as_text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
    match random.random_range(0..4) {
        0 => value["expiration"] = json!(as_text(date(random))),
        1 => {
            let (least, most) = (as_text(number(random)), as_text(number(random)));
            let odd = [
                json!(["content-length-range", least, most]),
                json!(["content-length-range", 0, 1e30]),
                json!(["content-length-range", u64::MAX, u64::MAX]),
                json!(["starts-with", "$key", as_text(text(random))]),
                json!(["starts-with", "$", ""]),
                json!(["eq", "$", least]),
                json!({ "": "" }),
                json!([[[]]]),
            ];
            let condition = pick(random, &odd).clone();
            if let Some(conditions) = value["conditions"].as_array_mut() {
                conditions.push(condition);
            }
        }
        2 => {
            let odd = [json!(null), json!({}), json!(""), json!([null]), json!([[]]), json!([{}]), json!([[1, 2, 3]])];
            value["conditions"] = pick(random, &odd).clone();
        }
        _ => return damaged_json(policy, random),
    }
    value.to_string().into_bytes()
}

impl Form {
    fn add(&mut self, name: &str, value: &[u8]) {
        self.fields.push((name.as_bytes().to_vec(), value.to_vec()));
    }

    /// A policy that allows exactly these fields.
    fn policy(&self, bucket: &str) -> Vec<u8> {
        let mut conditions = vec![json!({ "bucket": bucket }), json!(["content-length-range", 0, 1_000_000])];
        for (name, _) in &self.fields {
            conditions.push(json!(["starts-with", format!("${}", String::from_utf8_lossy(name)), ""]));
        }
        json!({ "expiration": "2099-01-01T00:00:00Z", "conditions": conditions }).to_string().into_bytes()
    }

    fn written(self, bucket: &str, part: Part, random: &mut StdRng) -> Request {
        let mut kind = [&b"multipart/form-data; boundary="[..], &self.boundary].concat();
        let mut pieces: Vec<Vec<u8>> =
            self.fields.iter().map(|(name, value)| field(&self.boundary, name, b"", value)).collect();
        pieces.push(field(
            &self.boundary,
            b"file",
            b"; filename=\"C:\\dir\\cat.png\"\r\nContent-Type: image/png",
            &self.file,
        ));
        pieces.push([b"--", &*self.boundary, b"--\r\n"].concat());
        if part == Part::Framing {
            for _ in 0..random.random_range(1..3) {
                damage_framing(&mut pieces, &mut kind, &self.boundary, random);
            }
        }
        Request::new("POST", &format!("/{bucket}")).header("content-type", kind).body(pieces.concat())
    }
}

fn field(boundary: &[u8], name: &[u8], more: &[u8], value: &[u8]) -> Vec<u8> {
    [b"--", boundary, b"\r\nContent-Disposition: form-data; name=\"", name, b"\"", more, b"\r\n\r\n", value, b"\r\n"]
        .concat()
}

fn damage_framing(pieces: &mut Vec<Vec<u8>>, kind: &mut Vec<u8>, boundary: &[u8], random: &mut StdRng) {
    let at = random.random_range(0..pieces.len());
    let length = pieces[at].len();
    match random.random_range(0..14) {
        0 => drop(pieces.pop()),
        1 => pieces[at].truncate(random.random_range(0..=length)),
        2 => pieces[at].insert(random.random_range(0..=length), random.random()),
        3 => pieces[at].retain(|byte| *byte != b'\r'),
        4 => pieces.insert(at, any(random)),
        5 => pieces.push(any(random)),
        6 => {
            let last = pieces.len() - 1;
            pieces.swap(at, last);
        }
        7 => pieces.push(
            [
                b"--",
                boundary,
                b"\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nsecond\r\n--",
                boundary,
                b"--\r\n",
            ]
            .concat(),
        ),
        8 => {
            let heads = [
                &b"\r\n\r\n"[..], b"\r\nContent-Disposition: form-data\r\n\r\nx\r\n", b"\r\nContent-Disposition: attachment; name=\"file\"\r\n\r\nx\r\n",
                b"\r\nContent-Disposition: form-data; name=file; filename*=UTF-8''%ff\r\n\r\nx\r\n", b"\r\nContent-Disposition: \xff\r\n\r\nx\r\n",
                b"\r\nContent-Type: multipart/mixed; boundary=xYzZY\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n",
                b"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\naa==\r\n", b"\r\nno colon\r\n\r\nx\r\n",
                b"\r\nContent-Disposition: form-data; name=\"a\r\n\r\nx\r\n", b" \t \r\nContent-Disposition: form-data; name=\"_charset_\"\r\n\r\nUTF-16\r\n",
            ];
            pieces.insert(at, [b"--", boundary, &bytes(random, &heads)].concat());
        }
        9 => pieces.insert(0, [&b"preamble\r\n"[..], &vec![b'p'; *pick(random, &[1, 100_000])], b"\r\n"].concat()),
        10 => {
            let many = vec![b'x'; *pick(random, &[71, 2000, 60_000])];
            pieces.insert(0, [b"--", boundary, b"\r\n", &many, b": y\r\n\r\n"].concat());
        }
        11 => *kind = [&b"multipart/form-data; boundary="[..], &on_one_line(any(random))].concat(),
        12 => {
            let kinds = [
                &b"multipart/form-data"[..],
                b"multipart/form-data;",
                b"multipart/form-data; boundary",
                b"multipart/form-data; boundary=\"\"",
                b"multipart/form-data; boundary=\"xYzZY",
                b"multipart/form-data; boundary=xYzZY; boundary=b",
                b"multipart/form-data; charset=UTF-16",
                b"MULTIPART/FORM-DATA; BOUNDARY=xYzZY",
                b"multipart/form-data; boundary=xYzZY\xff",
                b" multipart/form-data;boundary=xYzZ",
            ];
            *kind = pick(random, &kinds).to_vec();
        }
        _ => pieces[at] = pieces[at].repeat(random.random_range(2..60)),
    }
}
