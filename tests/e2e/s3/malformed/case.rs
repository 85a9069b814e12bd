//! A case: a valid request, what is broken in it, how it is signed and how it is sent. All of it follows from a seed and a number, but for
//! the time and the names that a run gives to its tenants and uploads.

use std::time::Duration;

use engine::IamAction;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use s3_store::{OPERATIONS, OfferedOperation, Target};
use tests::Tenant;

use super::chunks::Plan;
use super::forms::{self, Part};
use super::pools::{any, pick};
use super::request::Request;
use super::sign::{Payload, Scheme, Stamp, Tamper, sign};
use super::wire::{Ending, Step};
use super::{damage, documents, identities, raw, visits};

/// Where a case is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    S3,
    /// The door of identities; the one of S3 knows them, too.
    Iam,
}

/// Who and what is there for the cases of a batch.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) s3_host: String,
    pub(super) iam_host: String,
    /// Who owns the buckets in which everything may be changed.
    pub(super) player: Tenant,
    /// The number of the player's account.
    pub(super) account: String,
    /// Who owns the bucket that must not change.
    pub(super) keeper: Tenant,
    /// A bucket of the player with an object `key` and an upload.
    pub(super) bucket: String,
    pub(super) upload: String,
    /// A bucket of the player that is a website, which no other case touches.
    pub(super) shown: String,
    pub(super) kept: String,
}

/// What is sent, and what must not come back.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// What it is, in words.
    pub(super) what: String,
    pub(super) door: Door,
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
    door: Door,
    what: Vec<&'static str>,
    right: Option<String>,
}

impl Case {
    pub(super) fn new(seed: u64, number: u64, world: &World) -> Self {
        // Neighbouring numbers must not give neighbouring generators.
        let random = StdRng::seed_from_u64(
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number.wrapping_mul(0xd134_2543_de82_ef95),
        );
        let mut maker = Maker { world, random, door: Door::S3, what: Vec::new(), right: None };
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

impl World {
    fn host(&self, door: Door) -> Vec<u8> {
        match door {
            Door::S3 => &self.s3_host,
            Door::Iam => &self.iam_host,
        }
        .clone()
        .into_bytes()
    }

    /// Signs a request for a service as a whole, and gives head and body. One that names a host stays with it.
    pub(super) fn signed(
        &self,
        mut request: Request,
        (door, service): (Door, &str),
        tenant: &Tenant,
        scheme: &Scheme,
    ) -> (Vec<u8>, Vec<u8>) {
        let mut random = StdRng::seed_from_u64(0);
        if !request.has("host") {
            request.headers.insert(0, (b"host".to_vec(), self.host(door)));
        }
        let _ = sign(&mut request, scheme, &Stamp::new(tenant, 0).of_service(service), None, &mut random);
        (request.head(), request.body)
    }

    /// A good request to a door.
    fn good(&self, door: Door, path: &str) -> Vec<u8> {
        let (request, service) = match door {
            Door::S3 => (Request::new("GET", path), "s3"),
            Door::Iam => identities::good(IamAction::GetCallerIdentity, &self.account),
        };
        let (head, body) = self.signed(request, (door, service), &self.player, &Scheme::V4(Payload::Hash));
        [head, body].concat()
    }
}

impl Maker<'_> {
    /// A request, broken and signed: its head, its body, and whether it is a HEAD.
    fn request(&mut self) -> (Vec<u8>, Vec<u8>, bool) {
        match self.random.random_range(0..100) {
            0..=3 => {
                self.what.push("garbage");
                self.door = *pick(&mut self.random, &[Door::S3, Door::S3, Door::Iam]);
                (raw::garbage(&mut self.random), Vec::new(), false)
            }
            4..=16 => self.form(),
            17..=33 => self.identity(),
            34..=41 => self.visit(),
            _ => self.operation(),
        }
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
        request.headers.insert(0, (b"host".to_vec(), self.world.host(self.door)));
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
        request.headers.insert(0, (b"host".to_vec(), self.world.host(self.door)));
        let has_data = matches!(operation.name, "PutObject" | "UploadPart");
        let mut scheme = self.scheme(has_data);
        self.break_request(&mut request, operation, &mut scheme);
        let skew_s =
            if self.random.random_bool(0.02) { *pick(&mut self.random, &[-901, 901, -86_400, 86_400 * 8]) } else { 0 };
        let stamp = Stamp::new(tenant, skew_s);
        if spoils {
            return self.finished(request, &scheme, &stamp, Some(&Tamper::Flip));
        }
        let (stamp, tamper) = self.wrong(stamp);
        self.finished(request, &scheme, &stamp, tamper.as_ref())
    }

    fn identity(&mut self) -> (Vec<u8>, Vec<u8>, bool) {
        self.what.push("identity");
        self.door = *pick(&mut self.random, &[Door::Iam, Door::Iam, Door::S3]);
        let (mut request, service, action) = identities::broken(&self.world.account, &mut self.random);
        self.what.push(action);
        request.headers.insert(0, (b"host".to_vec(), self.world.host(self.door)));
        if self.random.random_bool(0.15) {
            self.break_head(&mut request);
        }
        let service = if self.random.random_bool(0.03) { "iam" } else { service };
        let stamp = Stamp::new(&self.world.player, 0).of_service(service);
        let scheme = if self.random.random_bool(0.9) { Scheme::V4(Payload::Hash) } else { self.scheme(false) };
        let (stamp, tamper) = self.wrong(stamp);
        self.finished(request, &scheme, &stamp, tamper.as_ref())
    }

    fn visit(&mut self) -> (Vec<u8>, Vec<u8>, bool) {
        self.what.push("visit");
        let world = self.world;
        let bucket = *pick(&mut self.random, &[&world.shown, &world.shown, &world.shown, &world.bucket, &world.kept]);
        let mut request = visits::broken(bucket, &mut self.random);
        if self.random.random_bool(0.3) {
            self.break_head(&mut request);
        }
        let scheme = if self.random.random_bool(0.9) { Scheme::None } else { self.scheme(false) };
        let (stamp, tamper) = self.wrong(Stamp::new(&self.world.player, 0));
        self.finished(request, &scheme, &stamp, tamper.as_ref())
    }

    /// Sometimes makes a signature that is one of something else, or none.
    fn wrong(&mut self, mut stamp: Stamp) -> (Stamp, Option<Tamper>) {
        if self.random.random_bool(0.06) {
            self.what.push("stamp");
            stamp.damage(&mut self.random);
            return (stamp, None);
        }
        if !self.random.random_bool(0.12) {
            return (stamp, None);
        }
        self.what.push("signature");
        (stamp, Some(Tamper::any(&mut self.random)))
    }

    /// A request signed: its head, its body, and whether it is a HEAD.
    fn finished(
        &mut self,
        mut request: Request,
        scheme: &Scheme,
        stamp: &Stamp,
        tamper: Option<&Tamper>,
    ) -> (Vec<u8>, Vec<u8>, bool) {
        let right = sign(&mut request, scheme, stamp, tamper, &mut self.random);
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
    fn break_bytes(&mut self, head: Vec<u8>) -> Vec<u8> {
        if !self.random.random_bool(0.06) {
            return head;
        }
        self.what.push("bytes");
        raw::damaged(head, &mut self.random)
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
                let good = self.world.good(self.door, &format!("/{}", self.world.bucket));
                vec![Step::Send([whole, good].concat())]
            }
            15 | 16 => {
                self.what.push("follows");
                heads.insert(0, false);
                let good = self.world.good(self.door, "/");
                vec![Step::Send([good, whole].concat())]
            }
            17 | 18 => {
                self.what.push("trailed");
                vec![Step::Send([whole, any(random)].concat())]
            }
            _ => vec![Step::Send(whole)],
        };
        let mut secrets = vec![self.world.player.secret_key.clone(), self.world.keeper.secret_key.clone()];
        secrets.extend(self.right);
        let mut case = Case { what: self.what.join(", "), door: self.door, steps, ending, heads, secrets };
        // What the client sent by itself it may be told.
        let bytes = case.bytes();
        case.secrets.retain(|secret| !bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        case
    }
}
