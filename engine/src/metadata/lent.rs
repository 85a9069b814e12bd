//! A connection to PostgreSQL that a transaction has for a while.

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres};

/// A connection of the pool; it goes back when this is dropped, rolled back first when it was given up.
///
/// A reader that is dropped in the middle of its transaction is nothing unusual: its client went away. Closing the connection each time
/// would have the server fork a process for the next one.
#[derive(Debug)]
pub(super) struct Lent {
    /// Always there until the drop.
    connection: Option<PoolConnection<Postgres>>,
    is_given_up: bool,
}

impl Lent {
    pub(super) fn new(connection: PoolConnection<Postgres>) -> Self {
        Self { connection: Some(connection), is_given_up: false }
    }

    pub(super) fn connection(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("a connection is there until it is given back")
    }

    /// Nobody knows whether a transaction is still open on it.
    pub(super) fn give_up(&mut self) {
        self.is_given_up = true;
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let (true, Some(mut connection)) = (self.is_given_up, self.connection.take()) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return connection.close_on_drop() };
        runtime.spawn(async move {
            // What is left of an answer is read first. Outside of a transaction this changes nothing.
            if sqlx::query("ROLLBACK").execute(&mut *connection).await.is_err() {
                connection.close_on_drop();
            }
        });
    }
}
