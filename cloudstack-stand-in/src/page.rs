//! The page at `/client/`: a log-in form and the button that opens the storage console, as CloudStack's own pages do.

use axum::response::{Html, Redirect};

/// Answers the page.
pub(crate) async fn show() -> Html<&'static str> {
    Html(include_str!("page.html"))
}

/// Sends the browser to the page.
pub(crate) async fn redirect() -> Redirect {
    Redirect::to("/client/")
}
