//! What travels with a request: its id, who it claims to be from, which operation it became, and what was wrong with its body.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::{Caller, Facts};

use crate::access_log::DeletedKey;
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
    document: Mutex<Vec<u8>>,
    caller: OnceLock<Caller>,
    error_code: OnceLock<String>,
    deleted_keys: OnceLock<Vec<DeletedKey>>,
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
            document: Mutex::new(Vec::new()),
            caller: OnceLock::new(),
            error_code: OnceLock::new(),
            deleted_keys: OnceLock::new(),
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

    /// Who asks, as logs of accesses name it; `None` for nobody, and before its proof was checked.
    pub(crate) fn requester(&self) -> Option<String> {
        self.0.caller.get()?.log_name()
    }

    /// Who asks; `None` before its proof was checked.
    pub(crate) fn caller(&self) -> Option<&Caller> {
        self.0.caller.get()
    }

    pub(crate) fn set_caller(&self, caller: &Caller) {
        let _ = self.0.caller.set(caller.clone());
    }

    /// The code of the error that is answered.
    pub(crate) fn error_code(&self) -> Option<&str> {
        self.0.error_code.get().map(String::as_str)
    }

    pub(crate) fn set_error_code(&self, code: &str) {
        let _ = self.0.error_code.set(code.to_owned());
    }

    /// What became of each key of a request for many deletions.
    pub(crate) fn deleted_keys(&self) -> &[DeletedKey] {
        self.0.deleted_keys.get().map_or(&[], Vec::as_slice)
    }

    pub(crate) fn set_deleted_keys(&self, keys: Vec<DeletedKey>) {
        let _ = self.0.deleted_keys.set(keys);
    }

    /// What came so far of a document that is looked at once more; nothing of others.
    pub(crate) fn document(&self) -> Vec<u8> {
        self.0.document.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn keep_of_document(&self, data: &[u8]) {
        self.0.document.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(data);
    }

    /// The first fault of the body.
    pub(crate) fn body_fault(&self) -> Option<BodyFault> {
        self.0.body_fault.get().copied()
    }

    pub(crate) fn set_body_fault(&self, fault: BodyFault) {
        let _ = self.0.body_fault.set(fault);
    }
}
