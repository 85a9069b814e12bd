//! Paging of lists: `offset` is the first id to give, and one row more than `limit` is given when there are more.

use engine::PageRequest;

use crate::{error::Refusal, request::Params};

/// Rows given when a client names no limit: in practice everything. The stock CloudStack plug-in names none and reads no
/// second page, so a smaller default would make it overlook users.
const ROWS_DEFAULT: usize = 1_000_000;

/// The page that a list call asks for.
pub(crate) fn requested(params: &Params) -> Result<PageRequest, Refusal> {
    let limit = params.parsed::<usize>("limit")?.filter(|limit| *limit > 0).unwrap_or(ROWS_DEFAULT);
    Ok(PageRequest {
        prefix: params.get("prefix").unwrap_or_default().to_owned(),
        from: params.get("offset").map(str::to_owned),
        rows_max: limit.min(ROWS_DEFAULT) + 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_more_than_the_limit_is_asked_for() {
        let page = requested(&Params::parse("limit=2&offset=b&prefix=p")).unwrap();
        assert_eq!((page.rows_max, page.from.as_deref(), page.prefix.as_str()), (3, Some("b"), "p"));
    }

    #[test]
    fn no_limit_and_a_limit_of_nothing_are_everything() {
        for query in ["", "limit=0", "limit=99999999999"] {
            assert_eq!(requested(&Params::parse(query)).unwrap().rows_max, ROWS_DEFAULT + 1, "{query}");
        }
        assert!(requested(&Params::parse("limit=ten")).is_err());
        assert!(requested(&Params::parse("limit=-1")).is_err());
    }
}
