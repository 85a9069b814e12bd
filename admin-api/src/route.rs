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

/// Declares every operation once: from its line come the variant, its route, its name and its place in `ALL`, so that none
/// can be left out of any of them.
macro_rules! endpoints {
    ($($(#[$doc:meta])* $name:ident = $method:ident $path:literal;)*) => {
        /// An operation of the Admin API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Endpoint {
            $($(#[$doc])* $name,)*
        }

        impl Endpoint {
            /// Every operation.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The HTTP method and the path, which is compared letter by letter.
            #[must_use]
            pub fn route(self) -> (Method, &'static str) {
                match self {
                    $(Self::$name => (Method::$method, $path),)*
                }
            }

            /// The name of the operation in logs and metrics.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

endpoints! {
    /// Makes a group.
    PutGroup = PUT "/group";
    /// Changes a group.
    PostGroup = POST "/group";
    /// Gives a group.
    GetGroup = GET "/group";
    /// Deletes a group without users.
    DeleteGroup = DELETE "/group";
    /// Lists the groups.
    ListGroups = GET "/group/list";
    /// Makes a user.
    PutUser = PUT "/user";
    /// Changes a user.
    PostUser = POST "/user";
    /// Gives a user.
    GetUser = GET "/user";
    /// Deletes a user.
    DeleteUser = DELETE "/user";
    /// Lists the users of a group.
    ListUsers = GET "/user/list";
    /// Sets a user's password for the console.
    PostPassword = POST "/user/password";
    /// Makes a key pair.
    PutCredential = PUT "/user/credentials";
    /// Gives a user a key pair made elsewhere.
    PostCredential = POST "/user/credentials";
    /// Gives a key pair.
    GetCredential = GET "/user/credentials";
    /// Deletes a key pair.
    DeleteCredential = DELETE "/user/credentials";
    /// Switches a key pair on or off.
    PostCredentialStatus = POST "/user/credentials/status";
    /// Lists a user's key pairs.
    ListCredentials = GET "/user/credentials/list";
    /// Lists a user's key pairs that work.
    ListActiveCredentials = GET "/user/credentials/list/active";
    /// Gives the version.
    GetVersion = GET "/system/version";
    /// Gives what the buckets hold.
    GetBucketUsage = GET "/system/bucketusage";
    /// Gives the names of the buckets.
    GetBucketList = GET "/system/bucketlist";
    /// Says that the server works.
    HeadHealth = HEAD "/.healthCheck";
    /// Says that the server works, for probes that only know GET.
    GetHealth = GET "/.healthCheck";
}

impl Endpoint {
    /// Whether the operation needs the service account. Load balancers probe the health without one.
    #[must_use]
    pub fn needs_login(self) -> bool {
        !matches!(self, Self::HeadHealth | Self::GetHealth)
    }

    /// Finds the operation of a request.
    fn find(method: &Method, path: &str) -> Result<Self, Missing> {
        let mut allowed = Vec::new();
        for &endpoint in Self::ALL {
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
    let caller = if open { Caller::anonymous() } else { auth::login(api, request.headers(), peer).await? };
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
        for &endpoint in Endpoint::ALL {
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
