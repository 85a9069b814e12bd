//! Statements over many rows: one text with a place for each row, sent once, where as many statements would each pay the way to the database.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use super::{Row, Tx, Value};
use crate::{Error, Result};

/// Numbers of rows that have a text. Few, because the database keeps what it has prepared for each; what lies between is sent in two or
/// three.
const SIZES: [usize; 11] = [1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64];

/// A statement, or several that are sent as one and share the values of each row. PostgreSQL has all but the last in a WITH, where none of
/// them sees what another did. SQLite has its values in the order of their places. Were they numbered, the driver would ask for the name of
/// each, and SQLite look through all names from the first on: with the hundreds of a large statement a tenth of what a commit took.
pub(super) struct Many {
    /// Values of a row.
    width: usize,
    parts: &'static [Part],
    sqlite: [OnceLock<Arc<str>>; SIZES.len()],
    postgres: [OnceLock<Arc<str>>; SIZES.len()],
    /// For SQLite: which values of a row each part has, in their order.
    order: OnceLock<Vec<Vec<Use>>>,
}

/// A place of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Use {
    /// Which of the row's values it has, from 0 on.
    value: usize,
    /// Whether no place after it has that value.
    is_last: bool,
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
        Self {
            width,
            parts,
            sqlite: [const { OnceLock::new() }; 11],
            postgres: [const { OnceLock::new() }; 11],
            order: OnceLock::new(),
        }
    }

    /// The text for a number of rows that has one.
    fn text(&self, tx: &Tx, size: usize) -> Result<Arc<str>> {
        let texts = if tx.is_embedded() { &self.sqlite } else { &self.postgres };
        let at = SIZES.iter().position(|one| *one == size).ok_or(Error::Internal("a statement has another size"))?;
        Ok(texts[at].get_or_init(|| self.joined(size, tx.is_embedded()).into()).clone())
    }

    /// The values of some rows as the text for so many has them.
    fn arrange(&self, tx: &Tx, mut rows: Vec<Vec<Value>>) -> Vec<Value> {
        if !tx.is_embedded() {
            return rows.into_iter().flatten().collect();
        }
        let order = self.order.get_or_init(|| self.uses());
        let mut values = Vec::with_capacity(rows.len() * order.iter().map(Vec::len).sum::<usize>());
        for part in order {
            for row in &mut rows {
                values.extend(part.iter().map(|place| place.fill(row)));
            }
        }
        values
    }

    fn uses(&self) -> Vec<Vec<Use>> {
        let mut later = HashSet::new();
        let mut parts: Vec<Vec<Use>> = self.parts.iter().rev().map(|part| part.uses(&mut later)).collect();
        parts.reverse();
        parts
    }

    fn joined(&self, size: usize, is_sqlite: bool) -> String {
        let texts: Vec<String> = self.parts.iter().map(|part| part.text(size, self.width, is_sqlite)).collect();
        match texts.as_slice() {
            [first @ .., last] if !is_sqlite && !first.is_empty() => {
                let named: Vec<String> = (0..).zip(first).map(|(at, text)| format!("part{at} AS ({text})")).collect();
                format!("WITH {}\n{last}", named.join(", "))
            }
            texts => texts.join(";\n"),
        }
    }
}

impl Use {
    fn fill(self, row: &mut [Value]) -> Value {
        match row.get_mut(self.value) {
            Some(value) if self.is_last => std::mem::replace(value, Value::Null),
            Some(value) => value.clone(),
            None => Value::Null,
        }
    }
}

impl Part {
    fn text(&self, size: usize, width: usize, is_sqlite: bool) -> String {
        let mut text = String::from(self.before);
        for row in 0..size {
            if row > 0 {
                text.push_str(self.between);
            }
            self.push_row(&mut text, (!is_sqlite).then_some(row * width));
        }
        text.push_str(self.after);
        text
    }

    /// Appends the text of a row, the numbers of its places moved up, or without numbers.
    fn push_row(&self, text: &mut String, offset: Option<usize>) {
        let (first, places) = self.places();
        text.push_str(first);
        for (number, behind) in places {
            // Writing into a string does not fail.
            let _ = match offset {
                Some(offset) => write!(text, "${}{behind}", number + offset),
                None => write!(text, "?{behind}"),
            };
        }
    }

    /// The places of a row; `later` are the values that places after it have, to which it adds its own.
    fn uses(&self, later: &mut HashSet<usize>) -> Vec<Use> {
        let (_, places) = self.places();
        let values: Vec<usize> = places.map(|(number, _)| number.saturating_sub(1)).collect();
        let mut uses: Vec<Use> =
            values.into_iter().rev().map(|value| Use { value, is_last: later.insert(value) }).collect();
        uses.reverse();
        uses
    }

    /// The text of a row before its first place; the number of each place, and what stands behind it.
    fn places(&self) -> (&'static str, impl Iterator<Item = (usize, &'static str)> + use<>) {
        let mut pieces = self.row.split('$');
        let first = pieces.next().unwrap_or_default();
        let places = pieces.map(|piece| {
            let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
            (piece[..digits].parse().unwrap_or_default(), &piece[digits..])
        });
        (first, places)
    }
}

/// Takes off as many rows as the next statement has.
fn next_chunk(rows: &mut std::vec::IntoIter<Vec<Value>>) -> Option<Vec<Vec<Value>>> {
    let size = *SIZES.iter().rfind(|size| **size <= rows.len())?;
    Some(rows.take(size).collect())
}

/// Runs the statement over all rows; returns how many rows it changed.
pub(super) async fn execute_many(tx: &mut Tx, many: &Many, rows: Vec<Vec<Value>>) -> Result<u64> {
    let (mut rows, mut changed) = (rows.into_iter(), 0);
    while let Some(chunk) = next_chunk(&mut rows) {
        changed += tx.execute_text(many.text(tx, chunk.len())?, many.arrange(tx, chunk)).await?;
    }
    Ok(changed)
}

/// Runs the statement over all rows; returns what it finds, in no order.
pub(super) async fn fetch_many(tx: &mut Tx, many: &Many, rows: Vec<Vec<Value>>) -> Result<Vec<Row>> {
    let (mut rows, mut found) = (rows.into_iter(), Vec::new());
    while let Some(chunk) = next_chunk(&mut rows) {
        found.extend(tx.fetch_text(many.text(tx, chunk.len())?, many.arrange(tx, chunk)).await?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Part = Part { before: "INSERT INTO a VALUES ", row: "($1, 7, $3)", between: ", ", after: "" };
    const GONE: Part = Part { before: "DELETE FROM b WHERE ", row: "(k = $2)", between: " OR ", after: "" };

    #[test]
    fn places_are_shared_by_the_parts_and_numbered_through_for_postgresql() {
        static MANY: Many = Many::new(3, &[KEEP, GONE]);
        assert_eq!(
            MANY.joined(2, true),
            "INSERT INTO a VALUES (?, 7, ?), (?, 7, ?);\nDELETE FROM b WHERE (k = ?) OR (k = ?)"
        );
        assert_eq!(
            MANY.joined(2, false),
            "WITH part0 AS (INSERT INTO a VALUES ($1, 7, $3), ($4, 7, $6))\nDELETE FROM b WHERE (k = $2) OR (k = $5)"
        );
    }

    #[test]
    fn places_take_what_no_place_after_them_has() {
        static MANY: Many = Many::new(3, &[KEEP, SAME, GONE]);
        const SAME: Part =
            Part { before: "DELETE FROM c WHERE ", row: "(k = $3 OR l = $2)", between: " OR ", after: "" };
        let [one, two, three] = [0, 1, 2].map(|value| move |is_last| Use { value, is_last });
        let wanted = [vec![one(true), three(false)], vec![three(true), two(false)], vec![two(true)]];
        assert_eq!(MANY.uses(), wanted);
    }

    #[test]
    fn every_number_of_rows_is_sent_in_full() {
        for count in 0..300_usize {
            let mut rows = vec![vec![Value::Null, Value::Null]; count].into_iter();
            let sizes: Vec<usize> = std::iter::from_fn(|| next_chunk(&mut rows)).map(|chunk| chunk.len()).collect();
            assert_eq!(sizes.iter().sum::<usize>(), count);
            assert!(sizes.len() <= 4 + count / 64, "{count} rows took {sizes:?}");
        }
    }
}
