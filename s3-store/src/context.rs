//! What travels with a request: its id, who it claims to be from, which operation it became, and what was wrong with its body.

use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::Facts;

use crate::auth::Claim;
use crate::error::BodyFault;

/// Shared by the front, the protocol layer's hooks and the body of one request.
#[derive(Clone, Debug)]
pub(crate) struct RequestContext(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    request_id: String,
    host_id: String,
    claim: OnceLock<Claim>,
    facts: OnceLock<Facts>,
    operation: OnceLock<&'static str>,
    body_fault: OnceLock<BodyFault>,
}

impl RequestContext {
    /// A request with new random ids: 16 hexadecimal digits, and a longer one as S3 has it.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            request_id: hex::encode_upper(rand::random::<[u8; 8]>()),
            host_id: STANDARD.encode(rand::random::<[u8; 32]>()),
            claim: OnceLock::new(),
            facts: OnceLock::new(),
            operation: OnceLock::new(),
            body_fault: OnceLock::new(),
        }))
    }

    pub(crate) fn request_id(&self) -> &str {
        &self.0.request_id
    }

    pub(crate) fn host_id(&self) -> &str {
        &self.0.host_id
    }

    pub(crate) fn claim(&self) -> Option<&Claim> {
        self.0.claim.get()
    }

    /// Set once, before the protocol layer runs; a second call changes nothing.
    pub(crate) fn set_claim(&self, claim: Claim) {
        let _ = self.0.claim.set(claim);
    }

    /// What the request tells of itself; nothing before that is known.
    pub(crate) fn facts(&self) -> Facts {
        self.0.facts.get().cloned().unwrap_or_default()
    }

    /// Set once, before the protocol layer runs; a second call changes nothing.
    pub(crate) fn set_facts(&self, facts: Facts) {
        let _ = self.0.facts.set(facts);
    }

    /// The operation's name; `None` before it is known.
    pub(crate) fn operation(&self) -> Option<&'static str> {
        self.0.operation.get().copied()
    }

    pub(crate) fn set_operation(&self, name: &'static str) {
        let _ = self.0.operation.set(name);
    }

    /// The first fault of the body.
    pub(crate) fn body_fault(&self) -> Option<BodyFault> {
        self.0.body_fault.get().copied()
    }

    pub(crate) fn set_body_fault(&self, fault: BodyFault) {
        let _ = self.0.body_fault.set(fault);
    }
}
