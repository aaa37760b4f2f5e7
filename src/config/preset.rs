//! The providers built into the binary; each is written like a `[providers.NAME]` table.

use std::sync::LazyLock;

use toml::de::DeTable;

/// A provider built in.
#[derive(Debug)]
pub struct Preset {
    /// What `preset = "…"` calls it.
    pub name: &'static str,
    /// Its TOML, comments included.
    pub text: &'static str,
    table: DeTable<'static>,
}

impl Preset {
    /// The first line of its comment.
    pub fn title(&self) -> &'static str {
        self.text
            .lines()
            .next()
            .map_or("", |line| line.trim_start_matches(['#', ' ']))
    }

    pub(super) fn table(&self) -> &DeTable<'static> {
        &self.table
    }
}

/// Every preset, by name.
pub fn presets() -> &'static [Preset] {
    static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
        let text = [
            ("feeling", include_str!("../../config/presets/feeling.toml")),
            ("hapn", include_str!("../../config/presets/hapn.toml")),
            ("happeo", include_str!("../../config/presets/happeo.toml")),
            (
                "happyrmatch",
                include_str!("../../config/presets/happyrmatch.toml"),
            ),
        ];
        // A test reads each of them, so that nothing is lost in the recovery here.
        let table = |text| DeTable::parse_recoverable(text).0.into_inner();
        text.into_iter()
            .map(|(name, text)| Preset {
                name,
                text,
                table: table(text),
            })
            .collect()
    });
    &PRESETS
}

/// The preset called `name`.
pub fn preset(name: &str) -> Option<&'static Preset> {
    presets().iter().find(|preset| preset.name == name)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{check, keys, report::Drafts},
        *,
    };

    #[test]
    fn every_preset_is_a_valid_provider_table_and_names_its_source() {
        for preset in presets() {
            let table = DeTable::parse(preset.text).unwrap();
            let mut drafts = Drafts::default();
            let checker = check::Checker {
                text: preset.text,
                is_valid: true,
            };
            checker.table(table.get_ref(), keys::PROVIDER, &"".into(), &mut drafts);
            assert!(
                drafts.is_empty(),
                "{}: {}",
                preset.name,
                drafts.finish(preset.name, None)
            );
            assert!(preset.text.contains("# Source: "), "{}", preset.name);
            assert!(!preset.title().is_empty());
        }
    }
}
