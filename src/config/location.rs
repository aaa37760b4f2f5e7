//! Positions in the configuration file.

use std::{ops::Range, rc::Rc};

/// A byte range of the file, and the dotted key that stands there.
#[derive(Clone, Debug)]
pub(super) struct Location {
    /// Bytes of the text.
    pub(super) span: Range<usize>,
    key: Option<Rc<str>>,
}

impl Location {
    /// A location without a key.
    pub(super) fn new(span: Range<usize>) -> Self {
        Self { span, key: None }
    }

    /// The location of `name`, a key of the table at this location.
    pub(super) fn member(&self, name: &str, span: Range<usize>) -> Self {
        let key = match &self.key {
            Some(table) => format!("{table}.{name}").into(),
            None => name.into(),
        };
        Self {
            span,
            key: Some(key),
        }
    }

    /// The location of one item of the array at this location. The key stays the same.
    pub(super) fn at_item(&self, span: Range<usize>) -> Self {
        Self {
            span,
            key: self.key.clone(),
        }
    }

    /// The dotted key, such as `providers.hapn.client_id`.
    pub(super) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}
