//! The connector: keeps the groups and users of a HyperStore-compatible Admin API in step with CloudStack's domains and
//! accounts, and answers the plug-in's two commands.
//!
//! It is level-triggered: what CloudStack shows is compared with what is known of the target, the difference is planned
//! and then applied. Events only say where to look sooner. It goes through the Admin API over HTTP like any client, so it
//! works in front of another HyperStore, too, and cannot get around authorization.
//!
//! Follow a pass: [`Connector::sync`] → `reconciler` (who works, and when) → `pass` (reads CloudStack with distrust into
//! `state`) → `run` (plans by `walk` and `plan`, applies by `apply`) → `target`.

mod apply;
mod check;
mod clock;
mod cloudstack;
mod config;
mod consent;
mod error;
mod events;
mod names;
mod pass;
mod plan;
mod plugin;
mod reconciler;
mod report;
mod run;
mod scope;
mod settings;
mod state;
mod target;
mod verify;
mod walk;

#[cfg(test)]
mod recorded;

pub use crate::{
    clock::Clock,
    config::{CloudStackConfig, ConnectorConfig, TargetConfig, TargetKind},
    error::{CloudStackError, Error, StateFailure},
    plugin::PLUGIN_PATH,
    reconciler::{Config, Connector, Doors},
    report::{
        Change, ChangeKind, CheckLine, Counts, Held, Owned, PassSummary, Plan, Progress, ProgressFn, RunReport,
        RunSummary, Status, Verdict,
    },
    settings::{Setting, Source},
};
