//! The events that a cloud writes down, with the types, states, texts and resources of the recorded ones.
//!
//! They are as unhelpful as the real ones: a move names the new parent, what was asked for by name is not named at all
//! until it is done, and what goes away with a domain goes without an event.

use uuid::Uuid;

use crate::Cloud;

/// How far the thing has come that an event tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Scheduled,
    Started,
    Completed,
}

impl Stage {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "Scheduled",
            Self::Started => "Started",
            Self::Completed => "Completed",
        }
    }
}

/// What kind of thing an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    Domain,
    Account,
    User,
    Configuration,
}

impl Resource {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Domain => "Domain",
            Self::Account => "Account",
            Self::User => "User",
            Self::Configuration => "Configuration",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: Uuid,
    pub(crate) kind: &'static str,
    pub(crate) failed: bool,
    pub(crate) stage: Stage,
    pub(crate) description: String,
    /// Who did it.
    pub(crate) user: u32,
    /// Whose account it is booked on: the actor's, but that of the target while it is only scheduled.
    pub(crate) account: u32,
    pub(crate) resource: Resource,
    pub(crate) resource_id: Option<Uuid>,
    pub(crate) created_s: i64,
    pub(crate) parent: Option<Uuid>,
}

/// Who changes something, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct By {
    pub(crate) user: u32,
    pub(crate) at_s: i64,
}

/// What the events of one change have in common.
#[derive(Debug, Clone)]
pub(crate) struct Story {
    pub(crate) kind: &'static str,
    pub(crate) resource: Resource,
    /// What is done, as a gerund with its object: `deleting Domain. Domain ID: ...`.
    pub(crate) what: String,
    /// Known from the start, or only when it is done.
    pub(crate) early_id: Option<Uuid>,
    pub(crate) final_id: Option<Uuid>,
}

impl Story {
    /// A change that knows its object from the start.
    pub(crate) fn about(kind: &'static str, resource: Resource, id: Uuid, what: String) -> Self {
        Self { kind, resource, what, early_id: Some(id), final_id: Some(id) }
    }
}

impl Cloud {
    /// A change that leaves one event: creations, and most changes of users and domains.
    pub(crate) fn tell_completed(&mut self, by: By, story: &Story) {
        self.write(by, story, Stage::Completed, None, None, false);
    }

    /// A change that failed and leaves one event.
    pub(crate) fn tell_failed(&mut self, by: By, story: &Story) {
        self.write(by, story, Stage::Completed, None, None, true);
    }

    /// A change that is started and completed within the request.
    pub(crate) fn tell_started_and_completed(&mut self, by: By, story: &Story) {
        self.write(by, story, Stage::Started, None, None, false);
        self.write(by, story, Stage::Completed, None, None, false);
    }

    /// A change that runs as a job. `plan` is the text of its scheduling, which is booked on the account `owner`.
    pub(crate) fn tell_job(&mut self, by: By, story: &Story, plan: String, owner: u32, failed: bool) {
        let parent = self.write(by, story, Stage::Scheduled, Some((plan, owner)), None, false);
        self.write(by, story, Stage::Started, None, parent, false);
        self.write(by, story, Stage::Completed, None, parent, failed);
    }

    /// An event whose text is given in full.
    pub(crate) fn tell_plainly(&mut self, by: By, kind: &'static str, user: Uuid, description: &str) {
        let story = Story::about(kind, Resource::User, user, String::new());
        let owner = self.users.get(by.user).map_or(0, |user| user.account);
        self.write(by, &story, Stage::Completed, Some((description.to_owned(), owner)), None, false);
    }

    fn write(
        &mut self,
        by: By,
        story: &Story,
        stage: Stage,
        plan: Option<(String, u32)>,
        parent: Option<Uuid>,
        failed: bool,
    ) -> Option<Uuid> {
        if self.quiet {
            return None;
        }
        let own = self.users.get(by.user).map_or(0, |user| user.account);
        let (description, account) = plan.unwrap_or_else(|| (describe(stage, &story.what, failed), own));
        let id = self.ids.uuid();
        let resource_id = if stage == Stage::Completed { story.final_id } else { story.early_id };
        self.events.push(Event {
            id,
            kind: story.kind,
            failed,
            stage,
            description,
            user: by.user,
            account,
            resource: story.resource,
            resource_id,
            created_s: by.at_s,
            parent,
        });
        Some(id)
    }
}

fn describe(stage: Stage, what: &str, failed: bool) -> String {
    match stage {
        Stage::Scheduled | Stage::Started => capitalized(what),
        Stage::Completed if failed => format!("Error while {what}"),
        Stage::Completed => format!("Successfully completed {what}"),
    }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
