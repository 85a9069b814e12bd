//! Statements over many rows: one text with a place for each row, sent once, where as many statements would each pay the way to the database.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use super::{Row, Tx, Value};
use crate::{Error, Result};

/// Numbers of rows that have a text. Few, because the database keeps what it has prepared for each; what lies between is sent in two or
/// three.
const SIZES: [usize; 11] = [1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64];

/// A statement, or several that are sent as one and share the values of each row. PostgreSQL has all but the last in a WITH, where none of
/// them sees what another did.
pub(super) struct Many {
    /// Values of a row.
    width: usize,
    parts: &'static [Part],
    sqlite: [OnceLock<Arc<str>>; SIZES.len()],
    postgres: [OnceLock<Arc<str>>; SIZES.len()],
}

/// A statement: `before`, then `row` for each row with `between` them, then `after`. In `row`, `$1` is the first value of the row.
pub(super) struct Part {
    pub(super) before: &'static str,
    pub(super) row: &'static str,
    pub(super) between: &'static str,
    pub(super) after: &'static str,
}

impl Many {
    pub(super) const fn new(width: usize, parts: &'static [Part]) -> Self {
        Self { width, parts, sqlite: [const { OnceLock::new() }; 11], postgres: [const { OnceLock::new() }; 11] }
    }

    /// The text for a number of rows that has one.
    fn text(&self, tx: &Tx, size: usize) -> Result<Arc<str>> {
        let texts = if tx.is_embedded() { &self.sqlite } else { &self.postgres };
        let at = SIZES.iter().position(|one| *one == size).ok_or(Error::Internal("a statement has another size"))?;
        Ok(texts[at].get_or_init(|| self.joined(size, tx.is_embedded()).into()).clone())
    }

    fn joined(&self, size: usize, is_sqlite: bool) -> String {
        let texts: Vec<String> = self.parts.iter().map(|part| part.text(size, self.width)).collect();
        match texts.as_slice() {
            [first @ .., last] if !is_sqlite && !first.is_empty() => {
                let named: Vec<String> = (0..).zip(first).map(|(at, text)| format!("part{at} AS ({text})")).collect();
                format!("WITH {}\n{last}", named.join(", "))
            }
            texts => texts.join(";\n"),
        }
    }
}

impl Part {
    fn text(&self, size: usize, width: usize) -> String {
        let mut text = String::from(self.before);
        for row in 0..size {
            if row > 0 {
                text.push_str(self.between);
            }
            push_row(&mut text, self.row, row * width);
        }
        text.push_str(self.after);
        text
    }
}

/// Appends the text of a row, the numbers of its places moved up.
fn push_row(text: &mut String, row: &str, offset: usize) {
    let mut pieces = row.split('$');
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
        let number: usize = piece[..digits].parse().unwrap_or_default();
        // Writing into a string does not fail.
        let _ = write!(text, "${}{}", number + offset, &piece[digits..]);
    }
}

/// Takes off as many rows as the next statement has.
fn next_chunk(rows: &mut std::vec::IntoIter<Vec<Value>>) -> Option<(usize, Vec<Value>)> {
    let size = *SIZES.iter().rfind(|size| **size <= rows.len())?;
    Some((size, rows.take(size).flatten().collect()))
}

/// Runs the statement over all rows; returns how many rows it changed.
pub(super) async fn execute_many(tx: &mut Tx, many: &Many, rows: Vec<Vec<Value>>) -> Result<u64> {
    let (mut rows, mut changed) = (rows.into_iter(), 0);
    while let Some((size, values)) = next_chunk(&mut rows) {
        changed += tx.execute_text(many.text(tx, size)?, values).await?;
    }
    Ok(changed)
}

/// Runs the statement over all rows; returns what it finds, in no order.
pub(super) async fn fetch_many(tx: &mut Tx, many: &Many, rows: Vec<Vec<Value>>) -> Result<Vec<Row>> {
    let (mut rows, mut found) = (rows.into_iter(), Vec::new());
    while let Some((size, values)) = next_chunk(&mut rows) {
        found.extend(tx.fetch_text(many.text(tx, size)?, values).await?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Part = Part { before: "INSERT INTO a VALUES ", row: "($1, 7, $3)", between: ", ", after: "" };
    const GONE: Part = Part { before: "DELETE FROM b WHERE ", row: "(k = $2)", between: " OR ", after: "" };

    #[test]
    fn places_are_numbered_through_and_shared_by_the_parts() {
        static MANY: Many = Many::new(3, &[KEEP, GONE]);
        assert_eq!(
            MANY.joined(2, true),
            "INSERT INTO a VALUES ($1, 7, $3), ($4, 7, $6);\nDELETE FROM b WHERE (k = $2) OR (k = $5)"
        );
        assert_eq!(
            MANY.joined(2, false),
            "WITH part0 AS (INSERT INTO a VALUES ($1, 7, $3), ($4, 7, $6))\nDELETE FROM b WHERE (k = $2) OR (k = $5)"
        );
    }

    #[test]
    fn every_number_of_rows_is_sent_in_full() {
        for count in 0..300_usize {
            let mut rows = vec![vec![Value::Null, Value::Null]; count].into_iter();
            let sizes: Vec<usize> = std::iter::from_fn(|| next_chunk(&mut rows))
                .map(|(size, values)| {
                    assert_eq!(values.len(), 2 * size);
                    size
                })
                .collect();
            assert_eq!(sizes.iter().sum::<usize>(), count);
            assert!(sizes.len() <= 4 + count / 64, "{count} rows took {sizes:?}");
        }
    }
}
