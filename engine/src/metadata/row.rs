//! Values that go into statements and rows that come out, free of any one database's types.

use sqlx::encode::IsNull;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgRow, PgTypeInfo};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Encode, Postgres, Row as _, SqlSafeStr, Sqlite, Type};

use crate::{Error, Result};

/// A value of a statement's parameter.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
}

macro_rules! value_from {
    ($($source:ty => |$name:ident| $make:expr;)*) => {
        $(impl From<$source> for Value {
            fn from($name: $source) -> Self {
                $make
            }
        })*
    };
}

value_from! {
    i64 => |int| Self::Int(int);
    i32 => |int| Self::Int(int.into());
    u32 => |int| Self::Int(int.into());
    bool => |flag| Self::Int(flag.into());
    &str => |text| Self::Text(text.to_owned());
    String => |text| Self::Text(text);
    &String => |text| Self::Text(text.clone());
    &[u8] => |blob| Self::Blob(blob.to_vec());
    Vec<u8> => |blob| Self::Blob(blob);
    &Vec<u8> => |blob| Self::Blob(blob.clone());
    &[u8; 16] => |blob| Self::Blob(blob.to_vec());
    [u8; 32] => |blob| Self::Blob(blob.to_vec());
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A list of [`Value`]s, converted each.
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        vec![$($crate::metadata::Value::from($value)),*]
    };
}
pub(crate) use values;

pub(super) fn bind_sqlite(sql: impl SqlSafeStr, values: Vec<Value>) -> Query<'static, Sqlite, SqliteArguments> {
    values.into_iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Null => query.bind(None::<i64>),
        Value::Int(int) => query.bind(int),
        Value::Text(text) => query.bind(text),
        Value::Blob(blob) => query.bind(blob),
    })
}

pub(super) fn bind_postgres(sql: impl SqlSafeStr, values: Vec<Value>) -> Query<'static, Postgres, PgArguments> {
    values.into_iter().fold(sqlx::query(sql), |query, value| match value {
        Value::Null => query.bind(UntypedNull),
        Value::Int(int) => query.bind(int),
        Value::Text(text) => query.bind(text),
        Value::Blob(blob) => query.bind(blob),
    })
}

/// NULL of the type that the statement wants: PostgreSQL takes none of another one.
struct UntypedNull;

impl Type<Postgres> for UntypedNull {
    fn type_info() -> PgTypeInfo {
        /// The pseudo-type `unknown`, whose real one the server infers.
        const UNKNOWN: Oid = Oid(705);
        PgTypeInfo::with_oid(UNKNOWN)
    }
}

impl Encode<'_, Postgres> for UntypedNull {
    fn encode_by_ref(&self, _: &mut PgArgumentBuffer) -> std::result::Result<IsNull, sqlx::error::BoxDynError> {
        Ok(IsNull::Yes)
    }
}

/// A row. Getters name the column when its data is not what it must be.
#[derive(Debug)]
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    fn get<'r, T>(&'r self, column: &'static str) -> Result<T>
    where
        T: sqlx::Decode<'r, Sqlite> + sqlx::Decode<'r, Postgres>,
    {
        // Types are not compared: SQLite's belong to values, not to columns, and decoding says what does not fit.
        let value = match self {
            Self::Sqlite(row) => row.try_get_unchecked(column),
            Self::Postgres(row) => row.try_get_unchecked(column),
        };
        value.map_err(|error| Error::corrupt(format!("column {column}: {error}")))
    }

    pub(crate) fn int(&self, column: &'static str) -> Result<i64> {
        self.get(column)
    }

    pub(crate) fn opt_int(&self, column: &'static str) -> Result<Option<i64>> {
        self.get(column)
    }

    /// A size or count: never negative.
    pub(crate) fn size(&self, column: &'static str) -> Result<u64> {
        u64::try_from(self.int(column)?).map_err(|_| Error::corrupt(format!("column {column} is negative")))
    }

    pub(crate) fn flag(&self, column: &'static str) -> Result<bool> {
        Ok(self.int(column)? != 0)
    }

    pub(crate) fn text(&self, column: &'static str) -> Result<String> {
        self.get(column)
    }

    pub(crate) fn opt_text(&self, column: &'static str) -> Result<Option<String>> {
        self.get(column)
    }

    pub(crate) fn blob(&self, column: &'static str) -> Result<Vec<u8>> {
        self.get(column)
    }

    pub(crate) fn opt_blob(&self, column: &'static str) -> Result<Option<Vec<u8>>> {
        self.get(column)
    }
}
