//! The built-in providers. Each preset is written like a `[providers.NAME]` table.

use std::sync::LazyLock;

use toml::de::DeTable;

use super::{
    diagnostics::Diagnostics, keys, location::Location, parsed::ParsedTable, table::TableParser,
};

/// A built-in provider.
#[derive(Debug)]
pub struct Preset {
    /// The name in `preset = "…"`.
    pub name: &'static str,
    /// The TOML with its comments.
    pub text: &'static str,
    table: DeTable<'static>,
}

impl Preset {
    /// Returns the first line of the comment.
    pub fn title(&self) -> &'static str {
        self.text
            .lines()
            .next()
            .map_or("", |line| line.trim_start_matches(['#', ' ']))
    }

    /// Parses the preset's keys. A test holds that no preset has diagnostics.
    pub(super) fn parse(&self, diagnostics: &mut Diagnostics) -> ParsedTable<'_> {
        let mut parser = TableParser {
            text: self.text,
            is_valid: true,
            diagnostics,
        };
        parser.parse(&self.table, keys::PROVIDER, Location::new(0..0))
    }
}

/// Returns every preset, by name.
pub fn presets() -> &'static [Preset] {
    static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
        let files = [
            ("feeling", include_str!("../../config/presets/feeling.toml")),
            ("hapn", include_str!("../../config/presets/hapn.toml")),
            ("happeo", include_str!("../../config/presets/happeo.toml")),
            (
                "happyrmatch",
                include_str!("../../config/presets/happyrmatch.toml"),
            ),
        ];
        // A test holds that each is valid, so that the recovery drops nothing.
        let preset = |(name, text)| Preset {
            name,
            text,
            table: DeTable::parse_recoverable(text).0.into_inner(),
        };
        files.into_iter().map(preset).collect()
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

    #[test]
    fn every_preset_is_a_valid_provider_table_and_names_its_source() {
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
            assert!(preset.text.contains("# Source: "), "{}", preset.name);
            assert!(!preset.title().is_empty());
        }
    }
}
