//! Every operation of the Admin API, and the one way that leads to each: find it, authenticate, read, act, record.

use std::net::{IpAddr, SocketAddr};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    response::Response,
};
use engine::Caller;
use http::{HeaderValue, Method, StatusCode, header::ALLOW};
use tokio::time::Instant;

use crate::{AdminApi, answer, audit::Trail, auth, credential, error::Refusal, group, request::Call, system, user};

/// An operation of the Admin API. The router is built from [`Endpoint::ALL`], so no operation can be left out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Makes a group.
    PutGroup,
    /// Changes a group.
    PostGroup,
    /// Gives a group.
    GetGroup,
    /// Deletes a group without users.
    DeleteGroup,
    /// Lists the groups.
    ListGroups,
    /// Makes a user.
    PutUser,
    /// Changes a user.
    PostUser,
    /// Gives a user.
    GetUser,
    /// Deletes a user.
    DeleteUser,
    /// Lists the users of a group.
    ListUsers,
    /// Sets a user's password for the console.
    PostPassword,
    /// Makes a key pair.
    PutCredential,
    /// Gives a user a key pair made elsewhere.
    PostCredential,
    /// Gives a key pair.
    GetCredential,
    /// Deletes a key pair.
    DeleteCredential,
    /// Switches a key pair on or off.
    PostCredentialStatus,
    /// Lists a user's key pairs.
    ListCredentials,
    /// Lists a user's key pairs that work.
    ListActiveCredentials,
    /// Gives the version.
    GetVersion,
    /// Gives what the buckets hold.
    GetBucketUsage,
    /// Gives the names of the buckets.
    GetBucketList,
    /// Says that the server works.
    HeadHealth,
    /// Says that the server works, for probes that only know GET.
    GetHealth,
}

impl Endpoint {
    /// Every operation.
    pub const ALL: [Self; 23] = [
        Self::PutGroup,
        Self::PostGroup,
        Self::GetGroup,
        Self::DeleteGroup,
        Self::ListGroups,
        Self::PutUser,
        Self::PostUser,
        Self::GetUser,
        Self::DeleteUser,
        Self::ListUsers,
        Self::PostPassword,
        Self::PutCredential,
        Self::PostCredential,
        Self::GetCredential,
        Self::DeleteCredential,
        Self::PostCredentialStatus,
        Self::ListCredentials,
        Self::ListActiveCredentials,
        Self::GetVersion,
        Self::GetBucketUsage,
        Self::GetBucketList,
        Self::HeadHealth,
        Self::GetHealth,
    ];

    /// The HTTP method and the path, which is compared letter by letter.
    #[must_use]
    pub fn route(self) -> (Method, &'static str) {
        match self {
            Self::PutGroup => (Method::PUT, "/group"),
            Self::PostGroup => (Method::POST, "/group"),
            Self::GetGroup => (Method::GET, "/group"),
            Self::DeleteGroup => (Method::DELETE, "/group"),
            Self::ListGroups => (Method::GET, "/group/list"),
            Self::PutUser => (Method::PUT, "/user"),
            Self::PostUser => (Method::POST, "/user"),
            Self::GetUser => (Method::GET, "/user"),
            Self::DeleteUser => (Method::DELETE, "/user"),
            Self::ListUsers => (Method::GET, "/user/list"),
            Self::PostPassword => (Method::POST, "/user/password"),
            Self::PutCredential => (Method::PUT, "/user/credentials"),
            Self::PostCredential => (Method::POST, "/user/credentials"),
            Self::GetCredential => (Method::GET, "/user/credentials"),
            Self::DeleteCredential => (Method::DELETE, "/user/credentials"),
            Self::PostCredentialStatus => (Method::POST, "/user/credentials/status"),
            Self::ListCredentials => (Method::GET, "/user/credentials/list"),
            Self::ListActiveCredentials => (Method::GET, "/user/credentials/list/active"),
            Self::GetVersion => (Method::GET, "/system/version"),
            Self::GetBucketUsage => (Method::GET, "/system/bucketusage"),
            Self::GetBucketList => (Method::GET, "/system/bucketlist"),
            Self::HeadHealth => (Method::HEAD, "/.healthCheck"),
            Self::GetHealth => (Method::GET, "/.healthCheck"),
        }
    }

    /// The name of the operation in logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PutGroup => "PutGroup",
            Self::PostGroup => "PostGroup",
            Self::GetGroup => "GetGroup",
            Self::DeleteGroup => "DeleteGroup",
            Self::ListGroups => "ListGroups",
            Self::PutUser => "PutUser",
            Self::PostUser => "PostUser",
            Self::GetUser => "GetUser",
            Self::DeleteUser => "DeleteUser",
            Self::ListUsers => "ListUsers",
            Self::PostPassword => "PostPassword",
            Self::PutCredential => "PutCredential",
            Self::PostCredential => "PostCredential",
            Self::GetCredential => "GetCredential",
            Self::DeleteCredential => "DeleteCredential",
            Self::PostCredentialStatus => "PostCredentialStatus",
            Self::ListCredentials => "ListCredentials",
            Self::ListActiveCredentials => "ListActiveCredentials",
            Self::GetVersion => "GetVersion",
            Self::GetBucketUsage => "GetBucketUsage",
            Self::GetBucketList => "GetBucketList",
            Self::HeadHealth => "HeadHealth",
            Self::GetHealth => "GetHealth",
        }
    }

    /// Whether the operation needs the service account. Load balancers probe the health without one.
    #[must_use]
    pub fn needs_login(self) -> bool {
        !matches!(self, Self::HeadHealth | Self::GetHealth)
    }

    /// Finds the operation of a request.
    fn find(method: &Method, path: &str) -> Result<Self, Missing> {
        let mut allowed = Vec::new();
        for endpoint in Self::ALL {
            let (known_method, known_path) = endpoint.route();
            if known_path == path {
                if known_method == method {
                    return Ok(endpoint);
                }
                allowed.push(known_method);
            }
        }
        Err(if allowed.is_empty() { Missing::Path } else { Missing::Method(allowed) })
    }
}

/// Why a request has no operation.
#[derive(Debug, PartialEq, Eq)]
enum Missing {
    /// Nothing has this path.
    Path,
    /// The path takes these methods only.
    Method(Vec<Method>),
}

impl Missing {
    fn answer(self) -> Response {
        match self {
            Self::Path => Refusal::new(StatusCode::NOT_FOUND, "No such operation").into_answer(),
            Self::Method(allowed) => {
                let mut answer =
                    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "The operation has no such method").into_answer();
                let allowed: Vec<&str> = allowed.iter().map(Method::as_str).collect();
                if let Ok(value) = HeaderValue::from_str(&allowed.join(", ")) {
                    answer.headers_mut().insert(ALLOW, value);
                }
                answer
            }
        }
    }
}

/// The Admin API as an axum router.
///
/// The listener may put [`ConnectInfo`] with the peer's address into the request's extensions; failed log-ins are then
/// slowed down for each peer by itself.
pub fn router(api: AdminApi) -> Router {
    Router::new().fallback(serve).with_state(api)
}

async fn serve(State(api): State<AdminApi>, request: Request) -> Response {
    let started = Instant::now();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let found = Endpoint::find(&method, &path);
    let mut trail = Trail::new(&method, &path, peer);
    let answer = match act(&api, found, peer, request, &mut trail).await {
        Ok(answer) => answer,
        Err(refusal) => {
            trail.refused_because(&refusal);
            refusal.into_answer()
        }
    };
    trail.record(answer.status(), started.elapsed());
    answer
}

async fn act(
    api: &AdminApi,
    found: Result<Endpoint, Missing>,
    peer: Option<IpAddr>,
    request: Request,
    trail: &mut Trail,
) -> Result<Response, Refusal> {
    let open = found.as_ref().is_ok_and(|endpoint| !endpoint.needs_login());
    let caller = if open { Caller::Anonymous } else { auth::login(api, request.headers(), peer).await? };
    let endpoint = match found {
        Ok(endpoint) => endpoint,
        Err(missing) => return Ok(missing.answer()),
    };
    trail.does(endpoint);
    let call = Call::read(request, caller).await?;
    trail.about_params(call.params());
    dispatch(api, endpoint, &call, trail).await
}

async fn dispatch(api: &AdminApi, endpoint: Endpoint, call: &Call, trail: &mut Trail) -> Result<Response, Refusal> {
    match endpoint {
        Endpoint::PutGroup => group::put(api, call, trail).await,
        Endpoint::PostGroup => group::post(api, call, trail).await,
        Endpoint::GetGroup => group::get(api, call).await,
        Endpoint::DeleteGroup => group::delete(api, call).await,
        Endpoint::ListGroups => group::list(api, call).await,
        Endpoint::PutUser => user::put(api, call, trail).await,
        Endpoint::PostUser => user::post(api, call, trail).await,
        Endpoint::GetUser => user::get(api, call).await,
        Endpoint::DeleteUser => user::delete(api, call).await,
        Endpoint::ListUsers => user::list(api, call).await,
        Endpoint::PostPassword => user::password(api, call).await,
        Endpoint::PutCredential => credential::put(api, call).await,
        Endpoint::PostCredential => credential::post(api, call).await,
        Endpoint::GetCredential => credential::get(api, call).await,
        Endpoint::DeleteCredential => credential::delete(api, call).await,
        Endpoint::PostCredentialStatus => credential::status(api, call).await,
        Endpoint::ListCredentials => credential::list(api, call).await,
        Endpoint::ListActiveCredentials => credential::list_active(api, call).await,
        Endpoint::GetVersion => Ok(system::version(api)),
        Endpoint::GetBucketUsage => system::bucket_usage(api, call).await,
        Endpoint::GetBucketList => system::bucket_list(api, call).await,
        Endpoint::HeadHealth | Endpoint::GetHealth => Ok(answer::done()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_operation_has_a_route_of_its_own_and_is_found_by_it() {
        let routes: HashSet<_> = Endpoint::ALL.iter().map(|endpoint| endpoint.route()).collect();
        assert_eq!(routes.len(), Endpoint::ALL.len());
        for endpoint in Endpoint::ALL {
            let (method, path) = endpoint.route();
            assert_eq!(Endpoint::find(&method, path), Ok(endpoint));
        }
    }

    #[test]
    fn unknown_paths_and_methods_are_told_apart() {
        assert_eq!(Endpoint::find(&Method::GET, "/Group"), Err(Missing::Path));
        assert_eq!(Endpoint::find(&Method::GET, "/group/"), Err(Missing::Path));
        let Err(Missing::Method(allowed)) = Endpoint::find(&Method::DELETE, "/group/list") else {
            panic!("found");
        };
        assert_eq!(allowed, [Method::GET]);
    }
}
