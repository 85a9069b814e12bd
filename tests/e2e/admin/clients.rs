//! `hssadmin` and `cloudianapi`.

use tests::{Environment, Script, Server, http};

#[tokio::test(flavor = "multi_thread")]
async fn hssadmin_and_cloudianapi_drive_it() {
    let server = Server::start().await;
    let account = server.first_credentials().admin_api;
    let script = Script::python(Environment::Current, "admin_clients.py")
        .env("ADMIN_URL", &server.doors().admin_api)
        .env("ADMIN_USER", &account.user)
        .env("ADMIN_PASSWORD", &account.password);
    let _ = script.run().await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_default_password_opens_nothing() {
    let server = Server::start().await;
    let http = http();
    let url = format!("{}/group/list", server.doors().admin_api);
    let ask = async |password: Option<&str>| {
        let request = http.get(&url);
        let request = match password {
            Some(password) => request.basic_auth("sysadmin", Some(password)),
            None => request,
        };
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask(None).await, 401);
    assert_eq!(ask(Some("public")).await, 401);
    assert_eq!(ask(Some(&server.first_credentials().admin_api.password)).await, 200);
}
