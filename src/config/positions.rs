//! Where keys stand in the file, for problems that appear after it has been checked.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::{excerpt::Excerpts, place::KeyPlaces};

/// The lines and columns of the tables, of each route's `listen`, and of the keys of providers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    tables: BTreeMap<String, (usize, usize)>,
    pub(super) keys: KeyPlaces,
}

impl Positions {
    pub(super) fn new(text: &str, table: &DeTable<'_>) -> Self {
        let lines = Excerpts::new(text, None);
        let mut positions = BTreeMap::new();
        for (name, value) in table {
            let start = name.span().start;
            positions.insert(name.get_ref().to_string(), lines.position(start));
            let routes = value.get_ref().as_table();
            for (route, settings) in routes
                .filter(|_| name.get_ref() == "routes")
                .into_iter()
                .flatten()
            {
                let listen = settings
                    .get_ref()
                    .as_table()
                    .and_then(|route| route.get("listen"));
                if let Some(listen) = listen {
                    let key = format!("routes.{}.listen", route.get_ref());
                    positions.insert(key, lines.position(listen.span().start));
                }
            }
        }
        Self {
            tables: positions,
            keys: KeyPlaces::new(text, table),
        }
    }

    /// Returns line and column of a dotted key, from 1; the first ones for a key that is not in the file.
    pub(super) fn of(&self, key: &str) -> (usize, usize) {
        self.tables.get(key).copied().unwrap_or((1, 1))
    }
}
