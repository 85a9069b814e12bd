//! The parameters of a request, and the few types they come in.

use url::form_urlencoded;

use crate::answer::ApiError;

/// The largest page, and where a list without paging is cut.
pub(crate) const PAGE_SIZE_MAX: usize = 500;

/// The parameters of a query string or a form, decoded, in the order in which they were sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Takes the parameters of the URL and of the form together.
    pub(crate) fn parse(query: &str, form: &[u8]) -> Self {
        let decoded = form_urlencoded::parse(query.as_bytes()).chain(form_urlencoded::parse(form));
        Self(decoded.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    #[cfg(test)]
    pub(crate) fn of(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The same parameters with one value in place of another.
    pub(crate) fn replaced(&self, value: &str, by: &str) -> Self {
        let other = |given: &str| if given == value { by.to_owned() } else { given.to_owned() };
        Self(self.pairs().map(|(name, given)| (name.to_owned(), other(given))).collect())
    }

    /// The value of a parameter, whatever the case of its name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Whether only the cheap part of an answer is wanted (`details=min`).
    pub(crate) fn wants_minimum(&self) -> bool {
        self.get("details") == Some("min")
    }

    /// A parameter that the command cannot do without.
    pub(crate) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name).filter(|value| !value.is_empty()).ok_or_else(|| ApiError::missing(self.command(), name))
    }

    /// The command's name as it was sent; empty when there is none.
    pub(crate) fn command(&self) -> &str {
        self.get("command").unwrap_or_default()
    }

    /// Which part of a list is wanted: offset and length.
    pub(crate) fn window(&self) -> Result<Window, ApiError> {
        match (self.get("page"), self.get("pagesize")) {
            (None, None) => Ok(Window { page: None, size: PAGE_SIZE_MAX }),
            (None, Some(_)) => {
                Err(ApiError::parameter(r#""page" parameter is required when "pagesize" is specified"#.to_owned()))
            }
            (Some(_), None) => {
                Err(ApiError::parameter(r#""pagesize" parameter is required when "page" is specified"#.to_owned()))
            }
            (Some(page), Some(size)) => {
                let size = self.count("pagesize", size)?;
                if size > PAGE_SIZE_MAX {
                    let text = format!("Page size can't exceed max allowed page size value: {PAGE_SIZE_MAX}");
                    return Err(ApiError::invalid(text));
                }
                Ok(Window { page: Some(self.count("page", page)?), size })
            }
        }
    }

    fn count(&self, name: &str, value: &str) -> Result<usize, ApiError> {
        let number = value.parse().ok().filter(|number| *number > 0);
        number.ok_or_else(|| ApiError::unknown_entity(self.command(), name, value))
    }
}

/// The part of a list that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// Counted from 1; none when the list was asked for without paging.
    pub(crate) page: Option<usize>,
    pub(crate) size: usize,
}
