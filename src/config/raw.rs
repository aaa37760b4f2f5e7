//! The file as written: typed access to its tables, every value with the place it stands at.
//!
//! [`super::check`] has gone over the file before; what is of a wrong type or malformed was reported there and counts
//! as absent here.

use std::{ops::Range, rc::Rc, time::Duration};

use toml::de::{DeInteger, DeTable, DeValue};

use super::{
    keys::{self, Key, Kind},
    value,
};

/// A place in the file.
#[derive(Clone, Debug)]
pub(super) struct At {
    /// Bytes of the text.
    pub(super) span: Range<usize>,
    table: Rc<str>,
    name: Rc<str>,
}

impl At {
    /// The key `name` of the table `table`.
    pub(super) fn new(span: Range<usize>, table: &Rc<str>, name: &str) -> Self {
        Self {
            span,
            table: table.clone(),
            name: name.into(),
        }
    }

    /// The same key, at another place: an item of its array.
    pub(super) fn moved(&self, span: Range<usize>) -> Self {
        Self {
            span,
            ..self.clone()
        }
    }

    /// A place without a key.
    pub(super) fn position(span: Range<usize>) -> Self {
        Self {
            span,
            table: "".into(),
            name: "".into(),
        }
    }

    /// The dotted key, as in `providers.hapn.client_id`.
    pub(super) fn key(&self) -> Option<String> {
        match (self.table.is_empty(), self.name.is_empty()) {
            (true, true) => None,
            (false, true) => Some(self.table.to_string()),
            (true, false) => Some(self.name.to_string()),
            (false, false) => Some(format!("{}.{}", self.table, self.name)),
        }
    }
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) at: At,
}

/// A secret as written.
#[derive(Clone, Copy)]
pub(super) enum RawSecret<'a> {
    Inline(&'a str),
    Env(&'a str),
    File(&'a str),
}

/// A table of the file, with the preset's under it where there is one. An absent table reads as an empty one.
#[derive(Clone)]
pub(super) struct Section<'a> {
    keys: &'static [Key],
    own: Option<&'a DeTable<'a>>,
    preset: Option<&'a DeTable<'a>>,
    path: Rc<str>,
    span: Range<usize>,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(super) fn root(table: &'a DeTable<'a>) -> Self {
        Self {
            keys: keys::ROOT,
            own: Some(table),
            preset: None,
            path: "".into(),
            span: 0..0,
        }
    }

    /// The same with `preset`'s keys under its own.
    pub(super) fn over(self, preset: &'a DeTable<'a>) -> Self {
        Self {
            preset: Some(preset),
            ..self
        }
    }

    /// Where the table begins: for what is missing from it.
    pub(super) fn at(&self) -> At {
        At::new(self.span.clone(), &self.path, "")
    }

    /// Whether the file itself, not a preset, has `name`.
    pub(super) fn has_own(&self, name: &str) -> bool {
        self.own.is_some_and(|table| table.contains_key(name))
    }

    /// Whether the table is in the file itself, not in a preset alone.
    pub(super) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    fn find(&self, name: &'static str) -> Option<Found<&'a DeValue<'a>>> {
        debug_assert!(
            keys::find(self.keys, name).is_some(),
            "{name} is in no table of keys"
        );
        let own = self.own.and_then(|table| table.get(name));
        let span = own.map(|value| value.span());
        let value = own.or_else(|| self.preset.and_then(|table| table.get(name)))?;
        // What a preset says has no place in this file but the table that chose it.
        Some(Found {
            value: value.get_ref(),
            at: At::new(span.unwrap_or_else(|| self.span.clone()), &self.path, name),
        })
    }

    /// A string.
    pub(super) fn text(&self, name: &'static str) -> Option<Found<&'a str>> {
        let found = self.find(name)?;
        let value = found.value.as_str()?;
        let may_be_empty = matches!(keys::find(self.keys, name)?.kind, Kind::Any);
        (may_be_empty || !value.is_empty()).then_some(Found {
            value,
            at: found.at,
        })
    }

    /// An array of strings, or one string where that may stand for one.
    pub(super) fn texts(&self, name: &'static str) -> Option<Found<Vec<Found<&'a str>>>> {
        let Found { value, at } = self.find(name)?;
        let texts = match value {
            DeValue::String(text) => vec![Found {
                value: text.as_ref(),
                at: at.clone(),
            }],
            DeValue::Array(items) => {
                let own = self.has_own(name);
                let place = |item| at.moved(if own { item } else { at.span.clone() });
                items
                    .iter()
                    .filter_map(|item| {
                        Some(Found {
                            value: item.get_ref().as_str()?,
                            at: place(item.span()),
                        })
                    })
                    .collect()
            }
            _ => return None,
        };
        Some(Found { value: texts, at })
    }

    /// One of the key's words.
    pub(super) fn choice(&self, name: &'static str) -> Option<&'static str> {
        let found = self.find(name)?;
        let Kind::Choice(words) = keys::find(self.keys, name)?.kind else {
            return None;
        };
        let text = found.value.as_str()?;
        words.iter().copied().find(|word| *word == text)
    }

    /// `true` or `false`.
    pub(super) fn switch(&self, name: &'static str) -> Option<bool> {
        self.find(name)?.value.as_bool()
    }

    /// An integer.
    pub(super) fn number(&self, name: &'static str) -> Option<u64> {
        self.find(name)?.value.as_integer().and_then(integer)
    }

    /// An array of integers.
    pub(super) fn numbers(&self, name: &'static str) -> Option<Vec<u64>> {
        let items = self.find(name)?.value.as_array()?;
        Some(
            items
                .iter()
                .filter_map(|item| item.get_ref().as_integer().and_then(integer))
                .collect(),
        )
    }

    /// A time.
    pub(super) fn duration(&self, name: &'static str) -> Option<Duration> {
        value::duration(self.find(name)?.value.as_str()?).ok()
    }

    /// A size in bytes; `unlimited` is none.
    pub(super) fn size(&self, name: &'static str) -> Option<u64> {
        value::size(self.find(name)?.value.as_str()?).ok()
    }

    /// A secret, unread.
    pub(super) fn secret(&self, name: &'static str) -> Option<Found<RawSecret<'a>>> {
        let Found { value, at } = self.find(name)?;
        let member = |table: &'a DeTable<'a>, name| {
            table.get(name).and_then(|value| value.get_ref().as_str())
        };
        let value = match value {
            DeValue::String(text) => RawSecret::Inline(text.as_ref()),
            DeValue::Table(table) => match (member(table, "env"), member(table, "file")) {
                (Some(variable), None) => RawSecret::Env(variable),
                (None, Some(path)) => RawSecret::File(path),
                _ => return None,
            },
            _ => return None,
        };
        Some(Found { value, at })
    }

    /// Pairs of strings, the file's over the preset's, in the order of the file.
    pub(super) fn pairs(&self, name: &'static str) -> Vec<(&'a str, Found<&'a str>)> {
        let table = |layer: Option<&'a DeTable<'a>>| layer?.get(name)?.get_ref().as_table();
        let (own, preset) = (table(self.own), table(self.preset));
        let given = |key: &str| own.is_some_and(|own| own.contains_key(key));
        let beneath = preset
            .into_iter()
            .flatten()
            .filter(|(key, _)| !given(key.get_ref()))
            .map(|pair| (pair, false));
        let mut pairs: Vec<_> = beneath
            .chain(own.into_iter().flatten().map(|pair| (pair, true)))
            .filter_map(|((key, value), own)| {
                let span = if own { key.span() } else { self.span.clone() };
                let at = At::new(span, &self.path, name);
                Some((
                    key.get_ref().as_ref(),
                    Found {
                        value: value.get_ref().as_str()?,
                        at,
                    },
                ))
            })
            .collect();
        pairs.sort_by_key(|(_, found)| found.at.span.start);
        pairs
    }

    /// A table in this one.
    pub(super) fn section(&self, name: &'static str) -> Section<'a> {
        let inner = match keys::find(self.keys, name).map(|key| key.kind) {
            Some(Kind::Table(inner)) => inner,
            _ => &[],
        };
        let own = self.own.and_then(|table| table.get_key_value(name));
        let preset = self.preset.and_then(|table| table.get(name));
        Section {
            keys: inner,
            own: own.and_then(|(_, value)| value.get_ref().as_table()),
            preset: preset.and_then(|value| value.get_ref().as_table()),
            path: join(&self.path, name),
            span: own.map_or_else(|| self.span.clone(), |(key, _)| key.span()),
        }
    }

    /// The named tables under `name`, in the order of the file.
    pub(super) fn sections(&self, name: &'static str) -> Vec<(&'a str, Section<'a>)> {
        let Some(Kind::Tables(inner)) = keys::find(self.keys, name).map(|key| key.kind) else {
            return Vec::new();
        };
        let path = join(&self.path, name);
        let tables = self
            .own
            .and_then(|table| table.get(name))
            .and_then(|value| value.get_ref().as_table());
        let mut sections: Vec<_> = tables
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| {
                let (name, own) = (key.get_ref().as_ref(), value.get_ref().as_table()?);
                let path = join(&path, name);
                Some((
                    name,
                    Section {
                        keys: inner,
                        own: Some(own),
                        preset: None,
                        path,
                        span: key.span(),
                    },
                ))
            })
            .collect();
        sections.sort_by_key(|(_, section)| section.span.start);
        sections
    }
}

/// `integer` where it is one of ours: not negative, below 2^64.
pub(super) fn integer(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// `table.name`.
pub(super) fn join(table: &str, name: &str) -> Rc<str> {
    if table.is_empty() {
        name.into()
    } else {
        format!("{table}.{name}").into()
    }
}
