//! Style sheet, scripts and pictures, embedded in the binary.
//!
//! `htmx-2.0.11.min.js` is the file of that name in the npm package `htmx.org` 2.0.11, unchanged; its licence stands beside it.

use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Assets;

/// Changes when any of the files does, so that browsers may keep them for ever.
pub(crate) static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut mixed = [0_u8; 8];
    for (file_number, name) in (0_u8..).zip(Assets::iter()) {
        let hash = Assets::get(&name).map(|file| file.metadata.sha256_hash()).unwrap_or_default();
        for (byte, other) in mixed.iter_mut().zip(hash) {
            *byte = byte.rotate_left(1) ^ other ^ file_number;
        }
    }
    hex::encode(mixed)
});

/// `GET /Cloudian/assets/{version}/{name}`
pub(crate) async fn asset(Path((version, name)): Path<(String, String)>) -> Response {
    let Some(file) = Assets::get(&name).filter(|_| version == *VERSION) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, file.metadata.mimetype().to_owned()),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()),
    ];
    (headers, Body::from(file.data.into_owned())).into_response()
}
