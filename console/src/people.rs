//! Groups and users, to look at. They are made and changed by CloudStack through the connector, or by the Admin API.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use engine::{Group, GroupId, PageRequest, Role, User, UserFilter};

use crate::ConsoleState;
use crate::auth::SignedIn;
use crate::error::{Failure, PageResult, render};
use crate::form::Fields;
use crate::format::{When, href};
use crate::shell::{Place, Shell};

/// Lines of a page.
const ROWS_MAX: usize = 100;

struct GroupRow {
    id: String,
    name: String,
    active: bool,
    created: When,
    href: String,
}

#[derive(Template)]
#[template(path = "groups.html")]
struct GroupsPage {
    shell: Shell,
    rows: Vec<GroupRow>,
    next_page: Option<String>,
}

struct UserRow {
    id: String,
    name: String,
    email: String,
    role: &'static str,
    active: bool,
    created: When,
}

#[derive(Template)]
#[template(path = "users.html")]
struct UsersPage {
    shell: Shell,
    group_id: String,
    group_name: String,
    /// The list of groups, for those who may see it.
    above: Option<String>,
    rows: Vec<UserRow>,
    next_page: Option<String>,
}

/// `GET /Cloudian/groups.htm?from=`; the administrator of one group sees the users of that group instead.
pub(crate) async fn groups(State(state): State<ConsoleState>, signed: SignedIn, query: Fields) -> PageResult {
    if signed.identity().role == Role::GroupAdmin {
        let own = href("users.htm", &[("group", signed.identity().group_id.as_str())]);
        return Ok(Redirect::to(&own).into_response());
    }
    let mut found = state.engine().list_groups(&signed.caller, page_request(&query)).await?;
    let next = rest(&mut found).map(|group| href("groups.htm", &[("from", group.group_id.as_str())]));
    let page = GroupsPage {
        shell: Shell::signed_in("Groups", &signed, Place::People),
        rows: found.iter().map(group_row).collect(),
        next_page: next,
    };
    Ok(render(&page))
}

/// `GET /Cloudian/users.htm?group=&from=`
pub(crate) async fn users(State(state): State<ConsoleState>, signed: SignedIn, query: Fields) -> PageResult {
    let group_id = GroupId::new(query.text("group"))?;
    let engine = state.engine();
    let filter = UserFilter::default();
    let mut found = engine.list_users(&signed.caller, &group_id, filter, page_request(&query)).await?;
    let group = engine.find_group(&signed.caller, &group_id).await?.ok_or(Failure::from(engine::Error::NoSuchGroup))?;
    let next = rest(&mut found)
        .map(|user| href("users.htm", &[("group", group_id.as_str()), ("from", user.user_id.as_str())]));
    let page = UsersPage {
        shell: Shell::signed_in("Users", &signed, Place::People),
        group_id: group_id.to_string(),
        group_name: group_name(&group),
        above: signed.is_system_admin().then(|| href("groups.htm", &[])),
        rows: found.into_iter().map(user_row).collect(),
        next_page: next,
    };
    Ok(render(&page))
}

fn page_request(query: &Fields) -> PageRequest {
    let from = Some(query.text("from").to_owned()).filter(|from| !from.is_empty());
    // One more than is shown tells whether there is a next page, and where it begins.
    PageRequest { prefix: String::new(), from, rows_max: ROWS_MAX + 1 }
}

fn rest<T>(found: &mut Vec<T>) -> Option<T> {
    if found.len() > ROWS_MAX { found.drain(ROWS_MAX..).next() } else { None }
}

fn group_name(group: &Group) -> String {
    if group.group_name.is_empty() { group.group_id.to_string() } else { group.group_name.clone() }
}

fn group_row(group: &Group) -> GroupRow {
    GroupRow {
        href: href("users.htm", &[("group", group.group_id.as_str())]),
        name: group_name(group),
        active: group.active,
        created: When::from_us(group.created_us),
        id: group.group_id.to_string(),
    }
}

fn user_row(user: User) -> UserRow {
    UserRow {
        name: if user.full_name.is_empty() { user.user_id.to_string() } else { user.full_name },
        id: user.user_id.to_string(),
        email: user.email,
        role: match user.role {
            Role::User => "User",
            Role::GroupAdmin => "Group administrator",
            Role::SystemAdmin => "System administrator",
        },
        active: user.active,
        created: When::from_us(user.created_us),
    }
}
