//! The global settings that listConfigurations shows and updateConfiguration changes.

use serde::{Deserialize, Serialize};

/// The setting that lets users list every account of their domain.
pub(crate) const VIEW_WHOLE_DOMAIN: &str = "allow.user.view.all.domain.accounts";

const RECORDED: &str = include_str!("../data/settings.json");

/// One setting, as it stands in answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Setting {
    category: String,
    group: String,
    subgroup: String,
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) defaultvalue: String,
    description: String,
    isdynamic: bool,
    component: String,
    displaytext: String,
    #[serde(rename = "type")]
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    String,
    Number,
    Boolean,
}

#[derive(Deserialize)]
struct File {
    settings: Vec<Setting>,
}

impl Setting {
    /// Takes a value if it is of the right type; else says so as CloudStack does.
    pub(crate) fn set(&mut self, value: &str) -> Result<(), String> {
        let fits = match self.kind {
            Kind::String => true,
            Kind::Number => value.parse::<i32>().is_ok(),
            Kind::Boolean => matches!(value, "true" | "false"),
        };
        if fits {
            self.value = value.to_owned();
            return Ok(());
        }
        let class = match self.kind {
            Kind::String => "String",
            Kind::Number => "Integer",
            Kind::Boolean => "Boolean",
        };
        Err(format!("Value [{value}] is not a valid [class java.lang.{class}]."))
    }
}

/// The settings as an operator set them, in the order of their names.
pub(crate) fn recorded() -> Vec<Setting> {
    let file: File = serde_json::from_str(RECORDED).expect("the embedded settings are well-formed");
    let mut settings = file.settings;
    settings.push(view_whole_domain());
    settings.sort_by(|one, other| one.name.cmp(&other.name));
    settings
}

/// The same settings, none of them set yet.
pub(crate) fn fresh() -> Vec<Setting> {
    let mut settings = recorded();
    for setting in &mut settings {
        setting.value.clone_from(&setting.defaultvalue);
    }
    settings
}

fn view_whole_domain() -> Setting {
    Setting {
        category: "Advanced".to_owned(),
        group: "Management Server".to_owned(),
        subgroup: "Account".to_owned(),
        name: VIEW_WHOLE_DOMAIN.to_owned(),
        value: "false".to_owned(),
        defaultvalue: "false".to_owned(),
        description: "Determines whether users can view all user accounts within the same domain".to_owned(),
        isdynamic: true,
        component: "QueryManagerImpl".to_owned(),
        displaytext: "Allow user view all domain accounts".to_owned(),
        kind: Kind::Boolean,
    }
}
