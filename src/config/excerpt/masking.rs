//! Decides which keys and values of a file are shown in excerpts.

use std::{collections::HashSet, ops::Range};

use toml::de::{DeTable, DeValue};

use crate::config::{
    keys::{self, KeySpec, Kind},
    quote::{is_safe_secret_source, is_safe_to_display},
};

/// A range of the text that is shown or masked.
pub(super) struct MaskedSpan {
    pub(super) span: Range<usize>,
    pub(super) is_visible: bool,
}

/// Decides whether a string is shown.
type IsVisible<'f> = &'f dyn Fn(&str) -> bool;

const HIDDEN: IsVisible<'static> = &|_| false;

/// Adds the keys and scalar values of `table`, whose keys are `specs`. Adds the names of its named
/// tables to `words`.
pub(super) fn classify<'a>(
    text: &str,
    table: &'a DeTable<'a>,
    specs: &'static [KeySpec],
    words: &mut HashSet<&'a str>,
    spans: &mut Vec<MaskedSpan>,
) {
    for (name, value) in table {
        let spec = keys::find(specs, name.get_ref());
        // An unknown key is shown if it is bare: a quoted one may be a value in the wrong place.
        let is_bare = text.get(name.span()) == Some(name.get_ref().as_ref());
        spans.push(MaskedSpan {
            span: name.span(),
            is_visible: spec.is_some() || (is_bare && is_safe_to_display(name.get_ref())),
        });

        let span = value.span();
        match (spec.map(|spec| spec.kind), value.get_ref()) {
            (Some(Kind::Table(inner) | Kind::StringOrTable(inner)), DeValue::Table(table)) => {
                classify(text, table, inner, words, spans);
            }
            (Some(Kind::NamedTables(inner) | Kind::Variables(inner)), DeValue::Table(tables)) => {
                classify_named_tables(text, tables, inner, words, spans);
            }
            (Some(Kind::StringMap | Kind::Parameters { .. }), DeValue::Table(pairs)) => {
                for (name, value) in pairs {
                    push_name(name, spans);
                    push_scalars(value.get_ref(), value.span(), HIDDEN, spans);
                }
            }
            (Some(Kind::Secret | Kind::SecretOrMember), DeValue::Table(source)) => {
                classify_secret(source, spans);
            }
            (
                Some(Kind::Strings | Kind::StringOrStrings | Kind::Integers { .. }),
                DeValue::Array(items),
            ) => {
                for item in items {
                    push_scalars(item.get_ref(), item.span(), &is_safe_to_display, spans);
                }
            }
            (
                None
                | Some(
                    Kind::Secret
                    | Kind::SecretOrMember
                    | Kind::Table(_)
                    | Kind::NamedTables(_)
                    | Kind::StringMap
                    | Kind::StringMaps
                    | Kind::Parameters { .. }
                    | Kind::Variables(_),
                ),
                other,
            )
            | (Some(_), other @ (DeValue::Array(_) | DeValue::Table(_))) => {
                push_scalars(other, span, HIDDEN, spans);
            }
            (Some(_), scalar) => push_scalars(scalar, span, &is_safe_to_display, spans),
        }
    }
}

fn classify_named_tables<'a>(
    text: &str,
    tables: &'a DeTable<'a>,
    specs: &'static [KeySpec],
    words: &mut HashSet<&'a str>,
    spans: &mut Vec<MaskedSpan>,
) {
    for (name, value) in tables {
        push_name(name, spans);
        match value.get_ref() {
            DeValue::Table(table) => {
                words.insert(name.get_ref());
                classify(text, table, specs, words, spans);
            }
            other => push_scalars(other, value.span(), HIDDEN, spans),
        }
    }
}

fn classify_secret(source: &DeTable<'_>, spans: &mut Vec<MaskedSpan>) {
    for (name, value) in source {
        let is_source = matches!(name.get_ref().as_ref(), "env" | "file" | "pointer");
        spans.push(MaskedSpan {
            span: name.span(),
            is_visible: is_source,
        });
        let is_visible = |text: &str| is_source && is_safe_secret_source(text);
        push_scalars(value.get_ref(), value.span(), &is_visible, spans);
    }
}

fn push_name(name: &toml::Spanned<toml::de::DeString<'_>>, spans: &mut Vec<MaskedSpan>) {
    spans.push(MaskedSpan {
        span: name.span(),
        is_visible: is_safe_to_display(name.get_ref()),
    });
}

/// Adds the scalars in `value`. All that are in an array or a table of their own are masked.
fn push_scalars(
    value: &DeValue<'_>,
    span: Range<usize>,
    is_visible: IsVisible<'_>,
    spans: &mut Vec<MaskedSpan>,
) {
    let is_visible = match value {
        DeValue::Array(items) => {
            for item in items {
                push_scalars(item.get_ref(), item.span(), HIDDEN, spans);
            }
            return;
        }
        DeValue::Table(table) => {
            for (name, value) in table {
                spans.push(MaskedSpan {
                    span: name.span(),
                    is_visible: false,
                });
                push_scalars(value.get_ref(), value.span(), HIDDEN, spans);
            }
            return;
        }
        DeValue::String(text) => is_visible(text),
        // A number is shown where a word would be.
        _ => is_visible("0"),
    };
    spans.push(MaskedSpan { span, is_visible });
}
