//! Asynchronous jobs: the change is made at once, but the job says so only when it was asked often enough.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::Cloud;
use crate::clock::shown;
use crate::events::By;

/// A job and its outcome.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    user: u32,
    command_class: &'static str,
    instance: Option<(&'static str, Option<Uuid>)>,
    created_s: i64,
    outcome: Result<Value, String>,
    /// How often it will still answer that it runs.
    pending: u32,
}

/// What kind of job it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobKind {
    /// The class of the command, shortened to what follows `org.apache.cloudstack.api.command.admin.`.
    pub(crate) class: &'static str,
    pub(crate) instance: Option<(&'static str, Option<Uuid>)>,
}

impl Cloud {
    /// Notes a job whose work is done, and gives its id.
    pub(crate) fn note_job(&mut self, by: By, kind: JobKind, pending: u32, outcome: Result<Value, String>) -> Uuid {
        let id = self.ids.uuid();
        let JobKind { class, instance } = kind;
        let job = Job { user: by.user, command_class: class, instance, created_s: by.at_s, outcome, pending };
        self.jobs.insert(id, job);
        id
    }

    /// What queryAsyncJobResult answers, or nothing when there is no such job.
    pub(crate) fn job_status(&mut self, id: Uuid) -> Option<Value> {
        let mut job = self.jobs.get(&id)?.clone();
        if let Some(kept) = self.jobs.get_mut(&id) {
            kept.pending = kept.pending.saturating_sub(1);
        }
        let mut answer = self.job_owner(job.user);
        let class = format!("org.apache.cloudstack.api.command.admin.{}", job.command_class);
        answer.insert("cmd".to_owned(), class.into());
        answer.insert("jobprocstatus".to_owned(), 0.into());
        if job.pending > 0 {
            answer.insert("jobresultcode".to_owned(), 0.into());
            insert_instance(&mut answer, job.instance.take());
            answer.insert("managementserverid".to_owned(), self.management_server.to_string().into());
            answer.insert("managementservername".to_owned(), "localhost".into());
            answer.insert("created".to_owned(), shown(job.created_s).into());
            answer.insert("jobid".to_owned(), id.to_string().into());
            answer.insert("jobstatus".to_owned(), 0.into());
            return Some(answer.into());
        }
        let (code, status, result) = match job.outcome {
            Ok(result) => (0, 1, result),
            Err(text) => (530, 2, json!({ "errorcode": 530, "errortext": text })),
        };
        answer.insert("jobresultcode".to_owned(), code.into());
        answer.insert("jobresulttype".to_owned(), "object".into());
        answer.insert("jobresult".to_owned(), result);
        insert_instance(&mut answer, job.instance.take());
        answer.insert("created".to_owned(), shown(job.created_s).into());
        answer.insert("completed".to_owned(), shown(job.created_s).into());
        answer.insert("jobid".to_owned(), id.to_string().into());
        answer.insert("jobstatus".to_owned(), status.into());
        Some(answer.into())
    }

    fn job_owner(&self, user: u32) -> Map<String, Value> {
        let mut answer = Map::new();
        let user = self.users.get_or_gone(user);
        if let Some(account) = user.and_then(|user| self.accounts.get_or_gone(user.account)) {
            answer.insert("accountid".to_owned(), account.uuid.to_string().into());
            answer.insert("account".to_owned(), account.name.clone().into());
            if let Some(domain) = self.domains.get_or_gone(account.domain) {
                answer.insert("domainid".to_owned(), domain.uuid.to_string().into());
                answer.insert("domainpath".to_owned(), self.path(domain.number).into());
            }
        }
        if let Some(user) = user {
            answer.insert("userid".to_owned(), user.uuid.to_string().into());
        }
        answer
    }
}

fn insert_instance(answer: &mut Map<String, Value>, instance: Option<(&'static str, Option<Uuid>)>) {
    let Some((kind, id)) = instance else { return };
    answer.insert("jobinstancetype".to_owned(), kind.into());
    if let Some(id) = id {
        answer.insert("jobinstanceid".to_owned(), id.to_string().into());
    }
}
