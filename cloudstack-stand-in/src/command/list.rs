//! Lists: their paging, their silent cut, and the lies about them.

use serde::Serialize;

use super::Call;
use crate::answer::{ApiError, Reply};
use crate::misbehaviour::Lie;
use crate::parameters::Window;

/// What of a list is answered: how many there are said to be, and which of them are shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) count: usize,
    pub(super) from: usize,
    pub(super) to: usize,
}

impl Call<'_> {
    /// The part of a list of this length that was asked for, as far as the lies let it be the right one.
    pub(super) fn part_of(&self, length: usize) -> Result<Part, ApiError> {
        let Window { page, size } = self.parameters.window()?;
        let page = self.lies.iter().fold(page.unwrap_or(1), |page, lie| match lie {
            Lie::RepeatPages => 1,
            Lie::SkipPages if page > 1 => page + 1,
            _honest => page,
        });
        let from = (page - 1).saturating_mul(size).min(length);
        let mut to = from.saturating_add(size).min(length);
        let mut count = length;
        for lie in self.lies {
            match lie {
                Lie::CountOff(by) => count = count.saturating_add_signed(isize::try_from(*by).unwrap_or(0)),
                Lie::ShortPages(by) => to = to.saturating_sub(*by).max(from),
                _honest => {}
            }
        }
        Ok(Part { count, from, to })
    }

    /// Renders the part of a list that was asked for.
    pub(super) fn list<T, View: Serialize>(
        &self,
        object: &str,
        rows: &[T],
        view: impl Fn(&T) -> Option<View>,
    ) -> Result<Reply, ApiError> {
        let part = self.part_of(rows.len())?;
        self.render(object, part.count, &rows[part.from..part.to], view)
    }

    /// Renders rows that were chosen already.
    pub(super) fn render<T, View: Serialize>(
        &self,
        object: &str,
        count: usize,
        rows: &[T],
        view: impl Fn(&T) -> Option<View>,
    ) -> Result<Reply, ApiError> {
        if self.lies.contains(&Lie::EmptyArray) {
            return Ok(Reply::text(format!(r#"{{"count":0,"{object}":[]}}"#)));
        }
        if count == 0 || self.lies.contains(&Lie::Nothing) {
            return Ok(Reply::text("{}".to_owned()));
        }
        if rows.is_empty() {
            return Ok(Reply::text(format!(r#"{{"count":{count}}}"#)));
        }
        let mut text = format!(r#"{{"count":{count},"{object}":["#).into_bytes();
        for (at, view) in rows.iter().filter_map(view).enumerate() {
            if at > 0 {
                text.push(b',');
            }
            serde_json::to_writer(&mut text, &view).map_err(|error| ApiError::internal(error.to_string()))?;
        }
        text.extend_from_slice(b"]}");
        String::from_utf8(text).map(Reply::text).map_err(|error| ApiError::internal(error.to_string()))
    }

    /// One object under its name.
    pub(super) fn one<View: Serialize>(object: &str, view: &View) -> Result<Reply, ApiError> {
        let text = serde_json::to_string(view).map_err(|error| ApiError::internal(error.to_string()))?;
        Ok(Reply::text(format!(r#"{{"{object}":{text}}}"#)))
    }
}
