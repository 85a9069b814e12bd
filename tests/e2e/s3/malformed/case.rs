//! A case: a valid request, what is broken in it, how it is signed and how it is sent. All of it follows from a seed and a number, but for
//! the time and the names that a run gives to its tenants and uploads.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use s3_store::{OPERATIONS, OfferedOperation, Target};
use tests::Tenant;

use super::chunks::Plan;
use super::forms::{self, Part};
use super::pools::{any, on_one_line, pick};
use super::request::Request;
use super::sign::{Payload, Scheme, Stamp, Tamper, sign};
use super::wire::{Ending, Step};
use super::{damage, documents};

/// Who and what is there for the cases of a batch.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) host: String,
    /// Who owns the buckets in which everything may be changed.
    pub(super) player: Tenant,
    /// Who owns the bucket that must not change.
    pub(super) keeper: Tenant,
    /// A bucket of the player with an object `key` and an upload.
    pub(super) bucket: String,
    pub(super) upload: String,
    pub(super) kept: String,
}

/// What is sent, and what must not come back.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// What it is, in words.
    pub(super) what: String,
    pub(super) steps: Vec<Step>,
    pub(super) ending: Ending,
    /// One for each request in it: whether it is a HEAD.
    pub(super) heads: Vec<bool>,
    pub(super) secrets: Vec<String>,
}

/// Makes one case.
pub(super) struct Maker<'a> {
    world: &'a World,
    random: StdRng,
    what: Vec<&'static str>,
    right: Option<String>,
}

impl Case {
    pub(super) fn new(seed: u64, number: u64, world: &World) -> Self {
        // Neighbouring numbers must not give neighbouring generators.
        let random = StdRng::seed_from_u64(
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number.wrapping_mul(0xd134_2543_de82_ef95),
        );
        let mut maker = Maker { world, random, what: Vec::new(), right: None };
        let (head, body, is_head) = maker.request();
        maker.sent(head, body, is_head)
    }

    /// All bytes that are sent.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let sent = self.steps.iter().filter_map(|step| match step {
            Step::Send(bytes) => Some(bytes.as_slice()),
            Step::Pause(_) => None,
        });
        sent.collect::<Vec<_>>().concat()
    }
}

/// An operation as its list has it, for a bucket.
pub(super) fn valid(operation: &OfferedOperation, world: &World, bucket: &str) -> Request {
    let path = match operation.target {
        Target::Service => "/".to_owned(),
        Target::Bucket => format!("/{bucket}"),
        Target::Object => format!("/{bucket}/key"),
    };
    let mut request = Request::new(operation.method, &path).query(&operation.query.replace("{upload}", &world.upload));
    if let Some((name, value)) = operation.header {
        request.add(name, value.replace("{source}", &format!("{bucket}/key")));
    }
    request.body(operation.body)
}

/// Signs a request as a whole, and gives head and body.
pub(super) fn signed(mut request: Request, world: &World, tenant: &Tenant, scheme: &Scheme) -> (Vec<u8>, Vec<u8>) {
    let mut random = StdRng::seed_from_u64(0);
    request.headers.insert(0, (b"host".to_vec(), world.host.clone().into_bytes()));
    let _ = sign(&mut request, scheme, &Stamp::new(tenant, 0), None, &mut random);
    (request.head(), request.body)
}

impl Maker<'_> {
    /// A request, broken and signed: its head, its body, and whether it is a HEAD.
    fn request(&mut self) -> (Vec<u8>, Vec<u8>, bool) {
        match self.random.random_range(0..100) {
            0..=3 => self.garbage(),
            4..=16 => self.form(),
            _ => self.operation(),
        }
    }

    /// Bytes that may not even be HTTP.
    fn garbage(&mut self) -> (Vec<u8>, Vec<u8>, bool) {
        self.what.push("garbage");
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
        let mut bytes =
            if self.random.random_bool(0.5) { pick(&mut self.random, known).to_vec() } else { any(&mut self.random) };
        if self.random.random_bool(0.3) {
            bytes.extend(any(&mut self.random));
        }
        (bytes, Vec::new(), false)
    }

    fn form(&mut self) -> (Vec<u8>, Vec<u8>, bool) {
        let part = *pick(
            &mut self.random,
            &[
                Part::Nothing,
                Part::Fields,
                Part::Fields,
                Part::Policy,
                Part::Policy,
                Part::Signature,
                Part::Framing,
                Part::Framing,
            ],
        );
        self.what.push("form");
        let bucket = if self.random.random_bool(0.9) { &self.world.bucket } else { &self.world.kept };
        let stamp = Stamp::new(&self.world.player, 0);
        let (mut request, right) = forms::request(bucket, &stamp, part, &mut self.random);
        self.right = (part == Part::Signature).then_some(right);
        request.headers.insert(0, (b"host".to_vec(), self.world.host.clone().into_bytes()));
        if part == Part::Nothing || self.random.random_bool(0.1) {
            self.break_head(&mut request);
        }
        let is_head = request.method == b"HEAD";
        let (head, body) = (request.head(), request.body);
        (self.break_bytes(head), body, is_head)
    }

    fn operation(&mut self) -> (Vec<u8>, Vec<u8>, bool) {
        let operation = pick(&mut self.random, OPERATIONS);
        self.what.push(operation.name);
        // The bucket that must not change is asked by somebody who may not, or with a signature that does not fit.
        let (bucket, tenant, spoils) = match self.random.random_range(0..20) {
            0 => (&self.world.kept, &self.world.player, false),
            1 => (&self.world.kept, &self.world.keeper, true),
            _ => (&self.world.bucket, &self.world.player, false),
        };
        let mut request = valid(operation, self.world, bucket);
        request.headers.insert(0, (b"host".to_vec(), self.world.host.clone().into_bytes()));
        let has_data = matches!(operation.name, "PutObject" | "UploadPart");
        let mut scheme = self.scheme(has_data);
        self.break_request(&mut request, operation, &mut scheme);
        let skew_s =
            if self.random.random_bool(0.02) { *pick(&mut self.random, &[-901, 901, -86_400, 86_400 * 8]) } else { 0 };
        let mut stamp = Stamp::new(tenant, skew_s);
        let mut tamper = spoils.then_some(Tamper::Flip);
        if !spoils && self.random.random_bool(0.06) {
            self.what.push("stamp");
            stamp.damage(&mut self.random);
        } else if !spoils && self.random.random_bool(0.12) {
            self.what.push("signature");
            tamper = Some(Tamper::any(&mut self.random));
        }
        let right = sign(&mut request, &scheme, &stamp, tamper.as_ref(), &mut self.random);
        // A signature that fits may well be told, for it was sent.
        self.right = right.filter(|_| matches!(tamper, Some(Tamper::Flip | Tamper::Signature(_))));
        let is_head = request.method == b"HEAD";
        let (head, body) = (request.head(), request.body);
        (self.break_bytes(head), body, is_head)
    }

    fn scheme(&mut self, has_data: bool) -> Scheme {
        match self.random.random_range(0..20) {
            0 => Scheme::None,
            1..=3 => Scheme::V4Link,
            4 | 5 => Scheme::V2,
            6 | 7 => Scheme::V2Link,
            _ if has_data && self.random.random_bool(0.7) => Scheme::V4(Payload::Chunks(Plan::any(&mut self.random))),
            8 | 9 => Scheme::V4(Payload::Unsigned),
            _ => Scheme::V4(Payload::Hash),
        }
    }

    /// One to three damages.
    fn break_request(&mut self, request: &mut Request, operation: &OfferedOperation, scheme: &mut Scheme) {
        if matches!(scheme, Scheme::V4(Payload::Chunks(_))) {
            let size = *pick(&mut self.random, &[0, 5, 1000, 20_000, 200_000]);
            request.body = vec![b'd'; size];
        }
        let damages = *pick(&mut self.random, &[1, 1, 1, 2, 2, 3]);
        for _ in 0..damages {
            if let Scheme::V4(Payload::Chunks(plan)) = scheme
                && self.random.random_bool(0.7)
            {
                self.what.push("chunks");
                *plan = plan.clone().broken(self.random.random_range(1..3));
            } else if !operation.body.is_empty() && operation.body != "bytes" && self.random.random_bool(0.7) {
                self.what.push("document");
                self.break_document(request, operation);
            } else {
                self.break_head(request);
            }
        }
    }

    fn break_document(&mut self, request: &mut Request, operation: &OfferedOperation) {
        let random = &mut self.random;
        if request.body.first() == Some(&b'{') {
            request.body = documents::damaged_json(&request.body, random);
            return;
        }
        let subresource = operation.query.split('=').next().unwrap_or_default();
        if let Some(full) = documents::full(subresource)
            .filter(|_| request.body == operation.body.as_bytes() && random.random_bool(0.7))
        {
            request.body = full.into_bytes();
        }
        request.body = documents::damaged(&request.body, random);
    }

    fn break_head(&mut self, request: &mut Request) {
        let random = &mut self.random;
        let (what, damage): (_, fn(&mut Request, &mut StdRng)) = match random.random_range(0..20) {
            0 => ("method", damage::method),
            1..=4 => ("target", damage::target),
            5..=11 => ("header", damage::header),
            12..=17 => ("query", damage::query),
            18 => ("length", damage::length),
            _ => ("body", |request, random| {
                let subresource = request
                    .query
                    .first()
                    .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
                    .unwrap_or_default();
                request.body = match documents::full(&subresource) {
                    Some(full) => documents::damaged(full.as_bytes(), random),
                    None => any(random),
                };
            }),
        };
        self.what.push(what);
        damage(request, random);
    }

    /// Damage to the bytes of a head, after it was signed.
    fn break_bytes(&mut self, mut head: Vec<u8>) -> Vec<u8> {
        if !self.random.random_bool(0.06) {
            return head;
        }
        self.what.push("bytes");
        let random = &mut self.random;
        let at = random.random_range(0..head.len());
        match random.random_range(0..9) {
            0 => head[at] = random.random(),
            1 => drop(head.remove(at)),
            2 => head.insert(at, *pick(random, &[0, b'\r', b'\n', b' ', b':', 0xff])),
            3 => head.retain(|byte| *byte != b'\r'),
            4 => {
                let versions = [
                    &b"HTTP/1.0"[..],
                    b"HTTP/2.0",
                    b"HTTP/0.9",
                    b"HTTP/9.9",
                    b"HTTP/1.1 ",
                    b"http/1.1",
                    b"HTTP/1.",
                    b"",
                ];
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
                let line =
                    [&b"x-long: "[..], &vec![b'y'; *pick(random, &[10_000, 100_000, 600_000])], b"\r\n"].concat();
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

    /// How it goes over the wire.
    fn sent(mut self, head: Vec<u8>, body: Vec<u8>, is_head: bool) -> Case {
        let mut heads = vec![is_head];
        let mut ending = Ending::Asks;
        let whole = [head, body].concat();
        let random = &mut self.random;
        let steps = match random.random_range(0..100) {
            0..=3 => {
                self.what.push("left");
                ending = Ending::Leaves;
                vec![Step::Send(whole[..random.random_range(0..=whole.len())].to_vec())]
            }
            4 | 5 => {
                self.what.push("cut");
                vec![Step::Send(whole[..random.random_range(0..=whole.len())].to_vec())]
            }
            6 => {
                self.what.push("waits");
                ending = Ending::Waits;
                vec![Step::Send(whole)]
            }
            7..=10 => {
                self.what.push("slow");
                let at = random.random_range(0..=whole.len());
                let pause = Duration::from_millis(random.random_range(1..60));
                vec![Step::Send(whole[..at].to_vec()), Step::Pause(pause), Step::Send(whole[at..].to_vec())]
            }
            11..=14 => {
                self.what.push("followed");
                heads.push(false);
                let good = signed(
                    Request::new("GET", &format!("/{}", self.world.bucket)),
                    self.world,
                    &self.world.player,
                    &Scheme::V4(Payload::Hash),
                );
                vec![Step::Send([whole, good.0].concat())]
            }
            15 | 16 => {
                self.what.push("follows");
                heads.insert(0, false);
                let good = signed(Request::new("GET", "/"), self.world, &self.world.player, &Scheme::V4(Payload::Hash));
                vec![Step::Send([good.0, whole].concat())]
            }
            17 | 18 => {
                self.what.push("trailed");
                vec![Step::Send([whole, any(random)].concat())]
            }
            _ => vec![Step::Send(whole)],
        };
        let mut secrets = vec![self.world.player.secret_key.clone(), self.world.keeper.secret_key.clone()];
        secrets.extend(self.right);
        let mut case = Case { what: self.what.join(", "), steps, ending, heads, secrets };
        // What the client sent by itself it may be told.
        let bytes = case.bytes();
        case.secrets.retain(|secret| !bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        case
    }
}
