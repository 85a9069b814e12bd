//! Fields of a form, and of the query of a page.

use url::form_urlencoded;

/// The field that carries the session's token.
pub(crate) const TOKEN_FIELD: &str = "_csrf";

/// Names and values in the order they were sent.
#[derive(Clone, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded`, which queries are, too.
    pub(crate) fn parse(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// A field's value; empty when it was not sent. Of several the first one.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.as_str())
    }

    /// All values of a field.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The session's token.
    pub(crate) fn token(&self) -> &str {
        self.text(TOKEN_FIELD)
    }
}

impl std::fmt::Debug for Fields {
    /// Names only: values may be passwords.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Fields {
    type Rejection = std::convert::Infallible;

    /// The fields of the query.
    async fn from_request_parts(parts: &mut http::request::Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_decoded_and_repeated() {
        let fields = Fields::parse(b"key=a+b&key=%C3%BC&_csrf=t");
        assert_eq!(fields.all("key").collect::<Vec<_>>(), ["a b", "ü"]);
        assert_eq!((fields.text("key"), fields.token(), fields.text("none")), ("a b", "t", ""));
        assert!(!format!("{fields:?}").contains("a b"));
    }
}
