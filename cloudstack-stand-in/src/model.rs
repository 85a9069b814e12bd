//! What a cloud consists of: domains, accounts, users, and the tables they are kept in.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The state of an account or a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Can log in and use its keys.
    Enabled,
    /// Cannot do anything.
    Disabled,
    /// Cannot do anything either, but its machines keep running.
    Locked,
}

/// An API key and its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) api_key: String,
    pub(crate) secret_key: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Domain {
    /// The internal number, as error texts show it.
    pub(crate) number: u32,
    pub(crate) uuid: Uuid,
    pub(crate) name: String,
    /// Only ROOT has none.
    pub(crate) parent: Option<u32>,
    /// Only ROOT has none.
    pub(crate) created_s: Option<i64>,
    /// How many domains stand directly below.
    pub(crate) children: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) number: u32,
    pub(crate) uuid: Uuid,
    pub(crate) name: String,
    pub(crate) domain: u32,
    /// Index into the built-in roles.
    pub(crate) role: usize,
    pub(crate) state: State,
    pub(crate) created_s: Option<i64>,
    pub(crate) is_default: bool,
    /// Numbers of its users, oldest first.
    pub(crate) users: Vec<u32>,
}

#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) number: u32,
    pub(crate) uuid: Uuid,
    pub(crate) account: u32,
    pub(crate) username: String,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) email: String,
    pub(crate) created_s: i64,
    pub(crate) state: State,
    pub(crate) is_default: bool,
    /// None means [`crate::DEFAULT_PASSWORD`], which keeps a grown cloud small.
    pub(crate) password: Option<String>,
    pub(crate) keys: Option<Box<Keys>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub(crate) uuid: Uuid,
    pub(crate) name: String,
    pub(crate) display_text: String,
    pub(crate) owner: u32,
    pub(crate) created_s: i64,
}

/// A built-in role, as listRoles shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Role {
    #[serde(rename = "type")]
    pub(crate) kind: RoleKind,
    pub(crate) isdefault: bool,
    pub(crate) state: String,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) ispublic: bool,
}

/// What a role may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RoleKind {
    Admin,
    ResourceAdmin,
    DomainAdmin,
    User,
}

impl RoleKind {
    /// The number that stands for it in accounts.
    pub(crate) fn account_type(self) -> u8 {
        match self {
            Self::User => 0,
            Self::Admin => 1,
            Self::DomainAdmin => 2,
            Self::ResourceAdmin => 3,
        }
    }
}

/// A row of a [`Table`].
pub(crate) trait Row {
    fn number(&self) -> u32;
    fn uuid(&self) -> Uuid;
}

impl Row for Domain {
    fn number(&self) -> u32 {
        self.number
    }
    fn uuid(&self) -> Uuid {
        self.uuid
    }
}

impl Row for Account {
    fn number(&self) -> u32 {
        self.number
    }
    fn uuid(&self) -> Uuid {
        self.uuid
    }
}

impl Row for User {
    fn number(&self) -> u32 {
        self.number
    }
    fn uuid(&self) -> Uuid {
        self.uuid
    }
}

/// Rows in the order of their numbers. Removed rows stay known, because events and error texts still speak of them.
#[derive(Debug, Clone)]
pub(crate) struct Table<T> {
    rows: Vec<T>,
    gone: HashMap<u32, T>,
    numbers: HashMap<Uuid, u32>,
    next: u32,
}

impl<T: Row> Table<T> {
    /// An empty table whose first row will have the number `first`.
    pub(crate) fn starting_at(first: u32) -> Self {
        Self { rows: Vec::new(), gone: HashMap::new(), numbers: HashMap::new(), next: first }
    }

    /// The number that the next row must carry.
    pub(crate) fn next_number(&self) -> u32 {
        self.next
    }

    /// Adds a row that carries [`Self::next_number`].
    pub(crate) fn push(&mut self, row: T) -> u32 {
        let number = row.number();
        debug_assert_eq!(number, self.next);
        self.numbers.insert(row.uuid(), number);
        self.rows.push(row);
        self.next = number + 1;
        number
    }

    pub(crate) fn rows(&self) -> &[T] {
        &self.rows
    }

    fn at(&self, number: u32) -> Option<usize> {
        self.rows.binary_search_by_key(&number, Row::number).ok()
    }

    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        self.at(number).map(|at| &self.rows[at])
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.at(number).map(|at| &mut self.rows[at])
    }

    /// The row, or what it last was.
    pub(crate) fn get_or_gone(&self, number: u32) -> Option<&T> {
        self.get(number).or_else(|| self.gone.get(&number))
    }

    /// The number of a row that is or was there.
    pub(crate) fn number_of(&self, uuid: &Uuid) -> Option<u32> {
        self.numbers.get(uuid).copied()
    }

    pub(crate) fn by_uuid(&self, uuid: &Uuid) -> Option<&T> {
        self.number_of(uuid).and_then(|number| self.get(number))
    }

    /// Removes a row and remembers what it was.
    pub(crate) fn remove(&mut self, number: u32) -> Option<&T> {
        let row = self.rows.remove(self.at(number)?);
        self.gone.insert(number, row);
        self.gone.get(&number)
    }
}
