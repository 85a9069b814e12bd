//! The first way in: generated at the first start and written to a file that only the owner reads.
//!
//! The file is written before the engine is told, and the service account is set last. So a crash in between leaves a file whose
//! passwords the next start sets; and once the service account exists, nothing here changes anything any more.

use std::path::Path;

use anyhow::Context as _;
use engine::{Caller, Engine, GroupId, UserId};
use rand::RngExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::files;

/// The file in the data directory.
pub(crate) const FILE_NAME: &str = "first-credentials.json";
/// The service account of the Admin API, as CloudStack's plug-in names it by default.
pub(crate) const SERVICE_ACCOUNT: &str = "sysadmin";
/// The first administrator of the console, in the group `0`.
pub(crate) const CONSOLE_ADMIN: &str = "admin";
/// The format of the file.
const VERSION: u32 = 1;
/// Enough that nobody guesses it: 142 bits.
const PASSWORD_CHARS: usize = 24;
/// Letters and digits that nobody mistakes for another.
const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// What `first-credentials.json` holds.
#[derive(Clone, Debug)]
pub struct FirstCredentials {
    /// The service account of the Admin API.
    pub admin_user: String,
    /// Its password.
    pub admin_password: SecretString,
    /// The group of the console's administrator.
    pub console_group: String,
    /// The console's administrator.
    pub console_user: String,
    /// Its password.
    pub console_password: SecretString,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    version: u32,
    admin_api: WireAdmin,
    console: WireConsole,
}

#[derive(Serialize, Deserialize)]
struct WireAdmin {
    user: String,
    password: String,
}

#[derive(Serialize, Deserialize)]
struct WireConsole {
    group: String,
    user: String,
    password: String,
}

impl FirstCredentials {
    /// New random passwords.
    fn generate() -> Self {
        Self {
            admin_user: SERVICE_ACCOUNT.to_owned(),
            admin_password: random_password(),
            console_group: GroupId::SYSTEM.to_owned(),
            console_user: CONSOLE_ADMIN.to_owned(),
            console_password: random_password(),
        }
    }

    /// Reads the file; `None` when it is not there (an owner who has noted the passwords may remove it).
    ///
    /// # Errors
    /// When the file is damaged or of another version.
    pub fn read(data_dir: &Path) -> anyhow::Result<Option<Self>> {
        let path = data_dir.join(FILE_NAME);
        let Some(text) = files::read_if_there(&path).with_context(|| format!("{} cannot be read", path.display()))?
        else {
            return Ok(None);
        };
        let wire: Wire = serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))?;
        anyhow::ensure!(wire.version == VERSION, "{} has version {}", path.display(), wire.version);
        Ok(Some(Self {
            admin_user: wire.admin_api.user,
            admin_password: wire.admin_api.password.into(),
            console_group: wire.console.group,
            console_user: wire.console.user,
            console_password: wire.console.password.into(),
        }))
    }

    fn write(&self, data_dir: &Path) -> anyhow::Result<()> {
        let wire = Wire {
            version: VERSION,
            admin_api: WireAdmin {
                user: self.admin_user.clone(),
                password: self.admin_password.expose_secret().to_owned(),
            },
            console: WireConsole {
                group: self.console_group.clone(),
                user: self.console_user.clone(),
                password: self.console_password.expose_secret().to_owned(),
            },
        };
        let path = data_dir.join(FILE_NAME);
        let text = serde_json::to_vec_pretty(&wire).context("the first credentials cannot be written")?;
        files::write_atomic(&path, &text, files::SECRET)
            .with_context(|| format!("{} cannot be written", path.display()))
    }
}

/// Makes sure that there is a way in. Returns whether this is the first start.
pub(crate) async fn ensure(engine: &Engine, data_dir: &Path) -> anyhow::Result<bool> {
    if engine.has_service_account(SERVICE_ACCOUNT).await? {
        return Ok(false);
    }
    let credentials = match FirstCredentials::read(data_dir)? {
        Some(left_by_a_crash) => left_by_a_crash,
        None => {
            let new = FirstCredentials::generate();
            new.write(data_dir)?;
            new
        }
    };
    let operator = Caller::LocalOperator;
    let group = GroupId::new(&credentials.console_group)?;
    let user = UserId::new(&credentials.console_user)?;
    engine.set_password(&operator, &group, &user, &credentials.console_password).await?;
    engine.set_service_account(&operator, &credentials.admin_user, &credentials.admin_password).await?;
    Ok(true)
}

/// Which password is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Which {
    /// That of the Admin API's service account.
    AdminApi,
    /// That of the console's first administrator.
    Console,
}

/// Gives the service account or the console's administrator a new random password, also in the file while there is one.
pub(crate) async fn reset(engine: &Engine, data_dir: &Path, which: Which) -> anyhow::Result<SecretString> {
    let (operator, password) = (Caller::LocalOperator, random_password());
    match which {
        Which::AdminApi => engine.set_service_account(&operator, SERVICE_ACCOUNT, &password).await?,
        Which::Console => {
            engine.set_password(&operator, &GroupId::system(), &UserId::new(CONSOLE_ADMIN)?, &password).await?;
        }
    }
    if let Some(mut known) = FirstCredentials::read(data_dir)? {
        match which {
            Which::AdminApi => known.admin_password = password.clone(),
            Which::Console => known.console_password = password.clone(),
        }
        known.write(data_dir)?;
    }
    Ok(password)
}

/// A password that no one chose: letters of both cases and digits.
pub(crate) fn random_password() -> SecretString {
    let mut random = rand::rng();
    loop {
        let text: String =
            (0..PASSWORD_CHARS).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect();
        let has = |test: fn(&u8) -> bool| text.as_bytes().iter().any(test);
        // The rule for passwords asks for three kinds of characters.
        if has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit) {
            return text.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    async fn open(folder: &Path) -> Engine {
        Engine::open(engine::Settings::new(folder)).await.unwrap()
    }

    /// Whether the passwords of the file open both doors.
    async fn opens(engine: &Engine, credentials: &FirstCredentials) -> (bool, bool) {
        let group = GroupId::new(&credentials.console_group).unwrap();
        let user = UserId::new(&credentials.console_user).unwrap();
        let admin = engine.login_service_account(&credentials.admin_user, &credentials.admin_password).await;
        let console = engine.login_with_password(&group, &user, &credentials.console_password).await;
        (admin.is_ok(), console.is_ok())
    }

    #[tokio::test]
    async fn the_first_start_makes_a_way_in_and_the_second_leaves_it() {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(folder.path()).await;
        assert!(ensure(&engine, folder.path()).await.unwrap());
        let first = FirstCredentials::read(folder.path()).unwrap().unwrap();
        assert_eq!(opens(&engine, &first).await, (true, true));
        let mode = std::fs::metadata(folder.path().join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        engine.close().await;
        drop(engine);

        let engine = open(folder.path()).await;
        assert!(!ensure(&engine, folder.path()).await.unwrap());
        assert_eq!(opens(&engine, &first).await, (true, true));
        let second = FirstCredentials::read(folder.path()).unwrap().unwrap();
        assert_eq!(first.admin_password.expose_secret(), second.admin_password.expose_secret());
    }

    #[tokio::test]
    async fn a_crash_between_file_and_engine_is_healed_by_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(folder.path()).await;
        let written = FirstCredentials::generate();
        written.write(folder.path()).unwrap();
        assert_eq!(opens(&engine, &written).await, (false, false));
        assert!(ensure(&engine, folder.path()).await.unwrap());
        assert_eq!(opens(&engine, &written).await, (true, true));
    }

    #[tokio::test]
    async fn a_removed_file_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(folder.path()).await;
        ensure(&engine, folder.path()).await.unwrap();
        std::fs::remove_file(folder.path().join(FILE_NAME)).unwrap();
        assert!(!ensure(&engine, folder.path()).await.unwrap());
        assert!(FirstCredentials::read(folder.path()).unwrap().is_none());
    }

    #[tokio::test]
    async fn a_lost_password_is_replaced_alone() {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(folder.path()).await;
        ensure(&engine, folder.path()).await.unwrap();
        let first = FirstCredentials::read(folder.path()).unwrap().unwrap();
        reset(&engine, folder.path(), Which::AdminApi).await.unwrap();
        assert_eq!(opens(&engine, &first).await, (false, true));
        reset(&engine, folder.path(), Which::Console).await.unwrap();
        assert_eq!(opens(&engine, &first).await, (false, false));
        let second = FirstCredentials::read(folder.path()).unwrap().unwrap();
        assert_eq!(opens(&engine, &second).await, (true, true));
    }

    #[test]
    fn the_file_has_the_shape_that_scripts_read() {
        let folder = tempfile::tempdir().unwrap();
        FirstCredentials::generate().write(folder.path()).unwrap();
        let text = std::fs::read_to_string(folder.path().join(FILE_NAME)).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["admin_api"]["user"], "sysadmin");
        assert_eq!((&json["console"]["group"], &json["console"]["user"]), (&"0".into(), &"admin".into()));
        assert!(json["console"]["password"].as_str().unwrap().len() >= 20);
        assert_ne!(json["console"]["password"], json["admin_api"]["password"]);
        let shown = format!("{:?}", FirstCredentials::read(folder.path()).unwrap().unwrap());
        assert!(!shown.contains(json["console"]["password"].as_str().unwrap()));
    }
}
