//! What a PostgreSQL database holds before a store is restored into it, and how that is put aside: moved into a schema of its own, never
//! dropped.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row as _};

use super::db::database_error;
use super::postgres;
use crate::{Error, PostgresSettings, Result};

/// The name under which failures are told.
const NAME: &str = "look_at_database";
/// How often, and with what pause, somebody else's connection is looked for: the server lists one for a moment after it was closed.
const LOOKS: u32 = 30;
const PAUSE: Duration = Duration::from_millis(100);

fn failed(source: sqlx::Error) -> Error {
    database_error(NAME, source)
}

/// Refuses a database that somebody uses, and one that holds something, unless that may be put aside.
pub(crate) async fn look(postgres: &PostgresSettings, may_put_aside: bool) -> Result<()> {
    let mut connection = postgres::connect(postgres).await?;
    let looked = async {
        must_be_unused(&mut connection).await?;
        if may_put_aside { Ok(()) } else { must_be_empty(&mut connection).await }
    };
    let looked = looked.await;
    // Nothing was written.
    let _ = connection.close().await;
    looked
}

/// Refuses a database that a running store is connected to: it would go on in the restored one, with its own blobs. The lock of the data
/// directory does not help, for that store may have another directory.
pub(super) async fn must_be_unused(connection: &mut PgConnection) -> Result<()> {
    let users = "SELECT COUNT(*) AS count FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = $1 AND pid <> pg_backend_pid()";
    for look in 0..LOOKS {
        let row = sqlx::query(users).bind(postgres::APPLICATION).fetch_one(&mut *connection).await.map_err(failed)?;
        if row.try_get::<i64, _>("count").map_err(failed)? == 0 {
            return Ok(());
        }
        if look + 1 < LOOKS {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Err(Error::Unusable("a running store is connected to the PostgreSQL database; stop it first".to_owned()))
}

/// Refuses a database with any row. Tables alone are nothing: a start that was refused may have made them.
pub(super) async fn must_be_empty(connection: &mut PgConnection) -> Result<()> {
    for Relation { name, is_table } in relations(connection).await? {
        if !is_table || name == "_sqlx_migrations" {
            continue;
        }
        let any = AssertSqlSafe(format!("SELECT EXISTS (SELECT 1 FROM {name}) AS occupied"));
        let row = sqlx::query(any).persistent(false).fetch_one(&mut *connection).await.map_err(failed)?;
        if row.try_get("occupied").map_err(failed)? {
            return Err(Error::Unusable(format!(
                "the PostgreSQL database is not empty (there are rows in {name}); name an empty one, or --force moves what is there \
                 into a schema of its own"
            )));
        }
    }
    Ok(())
}

/// Moves all tables and sequences into a new schema; returns whether there were any.
pub(super) async fn put_aside(connection: &mut PgConnection, schema: &str) -> Result<bool> {
    let relations = relations(connection).await?;
    if relations.is_empty() {
        return Ok(false);
    }
    run(connection, format!("CREATE SCHEMA {}", quoted(schema))).await?;
    for Relation { name, is_table } in relations {
        let kind = if is_table { "TABLE" } else { "SEQUENCE" };
        run(connection, format!("ALTER {kind} {name} SET SCHEMA {}", quoted(schema))).await?;
    }
    Ok(true)
}

/// A table or a sequence, its name quoted.
struct Relation {
    name: String,
    is_table: bool,
}

/// The tables of the schema that the store uses, and its sequences that belong to no table: those of tables go with them. What belongs to
/// an extension is not the store's.
async fn relations(connection: &mut PgConnection) -> Result<Vec<Relation>> {
    let rows = sqlx::query(
        "SELECT quote_ident(c.relname) AS name, c.relkind <> 'S' AS is_table
         FROM pg_class AS c
         WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
           AND c.relkind IN ('r', 'p', 'S')
           AND NOT EXISTS (
               SELECT 1 FROM pg_depend AS d
               WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                 AND (d.deptype = 'e' OR c.relkind = 'S' AND d.deptype IN ('a', 'i'))
           )
         ORDER BY 1",
    );
    let rows = rows.fetch_all(connection).await.map_err(failed)?;
    let relation =
        |row: &sqlx::postgres::PgRow| Ok(Relation { name: row.try_get("name")?, is_table: row.try_get("is_table")? });
    rows.iter().map(|row| relation(row).map_err(failed)).collect()
}

async fn run(connection: &mut PgConnection, sql: String) -> Result<()> {
    sqlx::query(AssertSqlSafe(sql)).persistent(false).execute(connection).await.map(|_| ()).map_err(failed)
}

/// A name as SQL wants it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_end_its_quotes() {
        assert_eq!(quoted(r#"a"; DROP TABLE b; --"#), r#""a""; DROP TABLE b; --""#);
    }
}
