//! The built-in providers: the files of `config/presets`, each written like a `[providers.NAME]` table.

use std::sync::{LazyLock, OnceLock};

use include_dir::{Dir, include_dir};
use toml::de::{DeTable, DeValue};

use super::{
    diagnostics::Diagnostics, keys, location::Location, parsed::ParsedTable, table::TableParser,
};

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/config/presets");

/// A built-in provider.
#[derive(Debug)]
pub struct Preset {
    /// The name in `preset = "…"`: that of the file.
    pub name: &'static str,
    /// The TOML with its comments.
    pub text: &'static str,
    /// The parsed text. A process parses only the presets that it uses.
    document: OnceLock<Document>,
}

/// The keys of `about`: facts for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The vendor and the kind of access.
    pub title: String,
    /// The group in a list of presets.
    pub group: String,
    /// The vendor's page that the preset rests on.
    pub source: String,
    /// The day on which that page was read, such as 2026-11-28.
    pub read: String,
    /// The things that an operator obtains from the vendor.
    pub needs: String,
}

#[derive(Debug)]
struct Document {
    about: About,
    table: DeTable<'static>,
}

impl Preset {
    /// Returns the facts for people.
    pub fn about(&self) -> &About {
        &self.document().about
    }

    /// Parses the preset's keys. A test holds that no preset has diagnostics.
    pub(super) fn parse(&self, diagnostics: &mut Diagnostics) -> ParsedTable<'_> {
        let mut parser = TableParser {
            text: self.text,
            is_valid: true,
            diagnostics,
        };
        let table = &self.document().table;
        parser.parse(table, keys::PROVIDER, Location::new(0..0))
    }

    fn document(&self) -> &Document {
        self.document.get_or_init(|| {
            // A test holds that each is valid, so that the recovery drops nothing.
            let mut table = DeTable::parse_recoverable(self.text).0.into_inner();
            let about = table.remove("about");
            let about = about.map(|about| read_about(about.get_ref()));
            Document {
                about: about.unwrap_or_default(),
                table,
            }
        })
    }
}

fn read_about(about: &DeValue<'_>) -> About {
    let text = |name: &str| {
        let value = about.as_table().and_then(|table| table.get(name));
        let text = value.and_then(|value| value.get_ref().as_str());
        text.unwrap_or_default().to_owned()
    };
    About {
        title: text("title"),
        group: text("group"),
        source: text("source"),
        read: text("read"),
        needs: text("needs"),
    }
}

/// Returns every preset, by name.
pub fn presets() -> &'static [Preset] {
    static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
        let preset = |file: &'static include_dir::File<'static>| {
            Some(Preset {
                name: file.path().file_stem()?.to_str()?,
                text: file.contents_utf8()?,
                document: OnceLock::new(),
            })
        };
        let mut presets: Vec<_> = FILES.files().filter_map(preset).collect();
        presets.sort_by_key(|preset| preset.name);
        presets
    });
    &PRESETS
}

/// Returns the preset called `name`.
pub fn preset(name: &str) -> Option<&'static Preset> {
    presets().iter().find(|preset| preset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The groups of a list of presets.
    const GROUPS: [&str; 16] = [
        "Accounting",
        "CRM and sales",
        "Commerce",
        "Communication",
        "Developer tools",
        "Devices",
        "Documents",
        "ERP",
        "HR and construction",
        "Identity",
        "Logistics",
        "Marketing",
        "Payments",
        "Platforms",
        "Public data",
        "Social",
    ];

    #[test]
    fn every_preset_is_a_valid_provider_table() {
        for preset in presets() {
            assert!(DeTable::parse(preset.text).is_ok(), "{}", preset.name);
            let mut diagnostics = Diagnostics::default();
            preset.parse(&mut diagnostics);
            assert!(
                diagnostics.is_empty(),
                "{}: {}",
                preset.name,
                diagnostics.into_report(preset.name, None)
            );
        }
    }

    #[test]
    fn every_preset_says_what_it_is_about() {
        for preset in presets() {
            let About {
                title,
                group,
                source,
                read,
                needs,
            } = preset.about();
            let first_line = preset.text.lines().next().unwrap_or_default();
            assert_eq!(first_line, format!("# {title}"), "{}", preset.name);
            assert!(GROUPS.contains(&group.as_str()), "{}: {group}", preset.name);
            assert!(!source.is_empty() && !needs.is_empty(), "{}", preset.name);
            let is_date = read.len() == 10 && read.split('-').count() == 3;
            assert!(is_date, "{}: {read}", preset.name);
        }
    }
}
