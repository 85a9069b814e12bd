//! Reads the configuration: defaults, then the file, then the environment, then the command line.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use figment::providers::Serialized;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::show::is_secret;
use super::{Config, DATA_DIR_DEFAULT, PortChoice, unknown};

/// The file that is looked for where none is named.
const FILE_NAME: &str = "cloudhold.toml";
const PREFIX: &str = "CLOUDHOLD_";
/// Variables that are no keys of the configuration.
const OTHER_VARIABLES: [&str; 1] = ["CLOUDHOLD_CONFIG"];

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// The data directory.
    pub data_dir: Option<PathBuf>,
    /// Whether every door gets a free port of the loopback interface.
    pub ports_auto: bool,
}

/// Reads the configuration with the process's environment.
///
/// # Errors
/// Names the file or variable and the key that is wrong.
pub fn load(overrides: &Overrides) -> anyhow::Result<Config> {
    // What is not UTF-8 cannot be a setting.
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    load_from(overrides, environment)
}

/// Reads the configuration with a given environment.
///
/// # Errors
/// Names the file or variable and the key that is wrong.
pub fn load_from(
    overrides: &Overrides,
    environment: impl IntoIterator<Item = (String, String)>,
) -> anyhow::Result<Config> {
    let figment = sources(overrides, environment)?;
    let mut config: Config = figment.extract().map_err(|error| unknown::explain(&error))?;
    if let Some(dir) = &overrides.data_dir {
        config.data.dir.clone_from(dir);
    }
    if overrides.ports_auto {
        config.doors.ports = PortChoice::Auto;
    }
    config.data.dir = std::path::absolute(&config.data.dir).context("the data directory has no absolute path")?;
    config.validate()?;
    Ok(config)
}

/// Variables that look like settings but are none. Orchestrators set such names for a service called cloudhold, so they cannot be
/// an error.
#[must_use]
pub fn stray_variables() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names
        .filter(|name| name.starts_with(PREFIX) && !name.contains("__") && !OTHER_VARIABLES.contains(&name.as_str()))
        .collect()
}

/// File and environment, the latter over the former.
pub(super) fn sources(
    overrides: &Overrides,
    environment: impl IntoIterator<Item = (String, String)>,
) -> anyhow::Result<Figment> {
    let mut variables: Vec<Variable> =
        environment.into_iter().filter_map(|(name, value)| Variable::new(name, value)).collect();
    variables.sort_by(|a, b| a.name.cmp(&b.name));
    let dir_of_environment =
        variables.iter().find(|variable| variable.key == "data.dir").map(|variable| variable.text.clone());
    let dir = overrides
        .data_dir
        .clone()
        .or(dir_of_environment.map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from(DATA_DIR_DEFAULT));
    let mut figment = Figment::new();
    if let Some(file) = find_file(overrides.file.as_deref(), &dir)? {
        figment = figment.merge(File::read(file)?);
    }
    for variable in variables {
        figment = figment.merge(variable);
    }
    Ok(figment)
}

/// The named file, which must be there, or the first that is found.
fn find_file(named: Option<&Path>, data_dir: &Path) -> anyhow::Result<Option<PathBuf>> {
    if let Some(file) = named {
        std::fs::metadata(file).with_context(|| format!("the configuration file {} cannot be read", file.display()))?;
        return Ok(Some(file.to_owned()));
    }
    Ok([PathBuf::from(FILE_NAME), data_dir.join(FILE_NAME)].into_iter().find(|file| file.is_file()))
}

/// The configuration file.
struct File {
    path: PathBuf,
    table: toml::Table,
}

impl File {
    /// A mistake in it is told by its place alone: the library would quote the line, and a secret may stand there.
    fn read(path: PathBuf) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("the configuration file {} cannot be read", path.display()))?;
        let table = text.parse().map_err(|error: toml::de::Error| {
            let place = error.span().map_or_else(String::new, |span| place(&text, span.start));
            anyhow::anyhow!(
                "{}: this is not TOML{place} (an unclosed quote, a missing `=`, or a key that stands there twice?)",
                path.display()
            )
        })?;
        Ok(Self { path, table })
    }
}

/// Line and column of a byte of a text, counted from 1.
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!(" at line {line}, column {column}")
}

impl Provider for File {
    fn metadata(&self) -> Metadata {
        Metadata::from("TOML file", self.path.as_path())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Serialized::defaults(&self.table).data()
    }
}

/// A setting from the environment: `CLOUDHOLD_DOORS__S3__PORT` is `doors.s3.port`.
struct Variable {
    name: String,
    key: String,
    text: String,
}

impl Variable {
    fn new(name: String, text: String) -> Option<Self> {
        let rest = name.strip_prefix(PREFIX)?;
        if OTHER_VARIABLES.contains(&name.as_str()) {
            return None;
        }
        if !rest.contains("__") {
            return None;
        }
        let key = rest.to_ascii_lowercase().replace("__", ".");
        Some(Self { name, key, text })
    }

    /// Numbers, lists and switches are read as in TOML; a secret is text even when it has digits only.
    fn value(&self) -> Value {
        if is_secret(&self.key) {
            return Value::from(self.text.clone());
        }
        match self.text.parse() {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }
}

impl Provider for Variable {
    fn metadata(&self) -> Metadata {
        Metadata::named(format!("environment variable {}", self.name))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let dict = figment::util::nest(&self.key, self.value()).into_dict().unwrap_or_default();
        Ok(Profile::Default.collect(dict))
    }
}
