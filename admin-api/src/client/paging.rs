//! Paging as the Admin API does it: `offset` is the id of the first row to give, and a page has one row more than its
//! limit when more rows exist, that row being the next offset.

use std::collections::HashSet;

use super::error::{Error, Result};

/// Rows a page, the limit that a HyperStore has when none is named: a larger one might be cut without a word.
pub const PAGE_ROWS: u32 = 100;
/// Where the search for a limit that holds the whole list ends, for servers that ignore `offset`.
const LIMIT_ROWS_MAX: u32 = 1 << 24;

/// Which part of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paging {
    /// Only ids that start with this.
    pub prefix: Option<String>,
    /// Rows a page.
    pub limit: u32,
    /// The first id of the page, itself included.
    pub offset: Option<String>,
}

impl Default for Paging {
    fn default() -> Self {
        Self { prefix: None, limit: PAGE_ROWS, offset: None }
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows; more than the limit when the server ignores limits and gave the whole list.
    pub items: Vec<T>,
    /// The offset of the next page; `None` when this is the last.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Takes the row beyond the limit off as the next offset.
    pub(super) fn from_rows(mut rows: Vec<T>, limit: u32, id: impl Fn(&T) -> &str) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if limit == 0 || rows.len() != limit.saturating_add(1) {
            return Self { items: rows, next: None };
        }
        let next = rows.pop().map(|row| id(&row).to_owned());
        Self { items: rows, next }
    }
}

/// Puts pages together to a whole list, each id once.
///
/// A server that ignores `offset` would answer the same page for ever: then the limit grows until the list fits, so that
/// nobody is lost.
pub(super) struct Collector<T> {
    items: Vec<T>,
    seen: HashSet<String>,
    paging: Paging,
}

impl<T> Collector<T> {
    pub(super) fn new() -> Self {
        Self { items: Vec::new(), seen: HashSet::new(), paging: Paging::default() }
    }

    /// The page to ask for now.
    pub(super) fn paging(&self) -> &Paging {
        &self.paging
    }

    /// Adds a page; the whole list when it was the last.
    pub(super) fn add(&mut self, page: Page<T>, id: impl Fn(&T) -> &str) -> Result<Option<Vec<T>>> {
        for item in page.items {
            if self.seen.insert(id(&item).to_owned()) {
                self.items.push(item);
            }
        }
        let Some(next) = page.next else {
            return Ok(Some(std::mem::take(&mut self.items)));
        };
        let advances = self.paging.offset.as_ref() != Some(&next) && !self.seen.contains(&next);
        if advances {
            self.paging.offset = Some(next);
            return Ok(None);
        }
        if self.paging.limit >= LIMIT_ROWS_MAX {
            return Err(Error::Protocol("the list does not page and does not end".to_owned()));
        }
        self.paging = Paging { limit: self.paging.limit * 4, ..Paging::default() };
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists ids as a server of some kind does.
    type Server = fn(&[String], &Paging) -> Vec<String>;

    fn honest(ids: &[String], paging: &Paging) -> Vec<String> {
        let from = paging.offset.clone().unwrap_or_default();
        ids.iter().filter(|id| **id >= from).take(paging.limit as usize + 1).cloned().collect()
    }

    fn ignores_all(ids: &[String], _: &Paging) -> Vec<String> {
        ids.to_vec()
    }

    fn ignores_offset(ids: &[String], paging: &Paging) -> Vec<String> {
        ids.iter().take(paging.limit as usize + 1).cloned().collect()
    }

    #[test]
    fn every_kind_of_server_gives_the_whole_list_once() {
        for server in [honest as Server, ignores_all, ignores_offset] {
            for count in [0, 1, 99, 100, 101, 102, 200, 201, 202, 1001, 2500] {
                let ids: Vec<String> = (0..count).map(|n| format!("u{n:05}")).collect();
                let mut collector = Collector::new();
                let mut calls = 0;
                let found = loop {
                    calls += 1;
                    let rows = server(&ids, collector.paging());
                    let page = Page::from_rows(rows, collector.paging().limit, |id| id);
                    if let Some(all) = collector.add(page, |id| id).unwrap() {
                        break all;
                    }
                };
                assert_eq!(found, ids);
                assert!(calls <= 30, "{calls} calls for {count}");
            }
        }
    }

    #[test]
    fn a_list_without_an_end_is_an_error() {
        let mut collector = Collector::new();
        let ended = (0..100).find_map(|_| {
            let page = Page { items: vec!["a".to_owned()], next: Some("a".to_owned()) };
            collector.add(page, |id| id).err()
        });
        assert!(matches!(ended, Some(Error::Protocol(_))));
    }
}
