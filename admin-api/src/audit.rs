//! The one place that every call passes when it is over, so that it can be recorded: who asked for what on whom, and
//! how it ended. Query strings and bodies never come here, because they hold passwords and secret keys.

use std::{net::IpAddr, time::Duration};

use http::{Method, StatusCode};

use crate::{error::Refusal, request::Params, route::Endpoint};

/// What is known of a call while it runs.
pub(crate) struct Trail {
    method: Method,
    path: String,
    peer: Option<IpAddr>,
    action: Option<Endpoint>,
    group_id: Option<String>,
    user_id: Option<String>,
    access_key: Option<String>,
    reason: Option<String>,
}

impl Trail {
    pub(crate) fn new(method: &Method, path: &str, peer: Option<IpAddr>) -> Self {
        Self {
            method: method.clone(),
            path: path.to_owned(),
            peer,
            action: None,
            group_id: None,
            user_id: None,
            access_key: None,
            reason: None,
        }
    }

    pub(crate) fn does(&mut self, action: Endpoint) {
        self.action = Some(action);
    }

    /// The group and user of a call that names them in its body.
    pub(crate) fn about(&mut self, group_id: Option<&str>, user_id: Option<&str>) {
        self.group_id = group_id.map(str::to_owned);
        self.user_id = user_id.map(str::to_owned);
    }

    /// The group, user and key of a call that names them in its query.
    pub(crate) fn about_params(&mut self, params: &Params) {
        self.about(params.get("groupId"), params.get("userId"));
        self.access_key = params.get("accessKey").map(str::to_owned);
    }

    pub(crate) fn refused_because(&mut self, refusal: &Refusal) {
        self.reason = Some(refusal.message().to_owned());
    }

    /// Records the call.
    pub(crate) fn record(self, status: StatusCode, took: Duration) {
        let action = self.action.map_or("none", Endpoint::name);
        metrics::counter!("cloudhold_admin_requests_total", "action" => action, "status" => status.as_str().to_owned())
            .increment(1);
        metrics::histogram!("cloudhold_admin_request_seconds", "action" => action).record(took.as_secs_f64());
        if self.action.is_some_and(|action| !action.needs_login()) {
            tracing::debug!(%status, peer = ?self.peer, "admin health probe");
            return;
        }
        tracing::info!(
            target: "admin_api::audit",
            method = %self.method,
            path = ?self.path,
            action,
            peer = ?self.peer,
            group = ?self.group_id,
            user = ?self.user_id,
            access_key = ?self.access_key,
            status = status.as_u16(),
            reason = ?self.reason,
            took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "admin call"
        );
    }
}
