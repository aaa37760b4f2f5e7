//! The codes of problems: each names a kind of mistake, and its paragraph in the documentation.

/// Lists each code once: its variant, and its word.
macro_rules! problem_codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+) => {
        /// The kind of a problem. Its word stays the same from version to version.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ProblemCode {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl ProblemCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the word in reports, and of the anchor in the documentation.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

problem_codes! {
    // The file.
    /// The configuration file cannot be read.
    FileUnreadable = "file-unreadable",
    /// The file is in another format, such as YAML or JSON.
    AnotherFormat = "another-format",
    /// A line is not valid TOML.
    InvalidToml = "invalid-toml",
    /// The file has neither a provider nor a route.
    NothingConfigured = "nothing-configured",
    /// Warning: the file has no route.
    NoRouteConfigured = "no-route-configured",

    // Keys and values.
    /// No key of this name is in this table.
    UnknownKey = "unknown-key",
    /// A key is needed and missing.
    MissingKey = "missing-key",
    /// The value has another TOML type than its key.
    WrongType = "wrong-type",
    /// The value has the type of its key, but not its form or range.
    InvalidValue = "invalid-value",
    /// A URL has user information, a query or a path that its key does not permit.
    InvalidUrl = "invalid-url",
    /// The name of a provider or route cannot be used.
    InvalidName = "invalid-name",
    /// Two keys do not fit together.
    ConflictingKeys = "conflicting-keys",
    /// bearward sets this parameter or header itself.
    ReservedName = "reserved-name",
    /// Warning: the key changes nothing in this configuration.
    NoEffect = "no-effect",
    /// Warning: the value is valid, but looks like a misspelt one.
    SuspectedTypo = "suspected-typo",

    // Names that lead elsewhere.
    /// No preset has this name.
    UnknownPreset = "unknown-preset",
    /// The provider that a route names is not in the file.
    UndefinedProvider = "undefined-provider",
    /// A variable in braces has no value, or none is declared.
    UndefinedVariable = "undefined-variable",
    /// The value of a variable does not fit its declaration.
    InvalidVariable = "invalid-variable",

    // Secrets.
    /// The environment variable of a secret is not set, or empty.
    VariableNotSet = "variable-not-set",
    /// The file of a secret cannot be read, or holds none.
    SecretUnreadable = "secret-unreadable",
    /// The secret is the name of a variable, which would be sent literally.
    LiteralVariable = "literal-variable",
    /// Warning: the secret is written in the configuration.
    SecretInline = "secret-inline",
    /// Warning: other users can read the file of a secret.
    SecretReadable = "secret-readable",
    /// Warning: the secret has a blank, a quotation mark or a line too many.
    SuspectSecret = "suspect-secret",
    /// Warning: the key is short enough to be guessed.
    WeakKey = "weak-key",

    // Connections.
    /// A certificate or key cannot be used.
    CertificateUnusable = "certificate-unusable",
    /// Another machine would be reached in plain text.
    Plaintext = "plaintext",
    /// Two listeners overlap.
    AddressConflict = "address-conflict",
    /// Two routes match the same requests.
    AmbiguousRoutes = "ambiguous-routes",
    /// The upstream is bearward itself.
    UpstreamLoop = "upstream-loop",
    /// Warning: every machine that reaches the listener can use the route.
    OpenListener = "open-listener",
    /// Warning: every request is refused.
    RefusesEverything = "refuses-everything",

    // Authorization servers.
    /// Warning: the scope has commas, and is sent as one scope.
    ScopeCommas = "scope-commas",
    /// Warning: the authorization server probably expects something that is missing.
    IncompleteClient = "incomplete-client",
    /// Warning: the browser would not come back to bearward after a login.
    RedirectElsewhere = "redirect-elsewhere",

    // The process.
    /// Warning: the program of a notification does not exist.
    CommandNotFound = "command-not-found",
    /// The folder of the store cannot be used.
    StoreUnusable = "store-unusable",
    /// A reload cannot take an address.
    CannotListen = "cannot-listen",
    /// The system has no descriptors or threads left.
    ResourcesExhausted = "resources-exhausted",
    /// Warning: the change takes effect at a restart.
    RestartNeeded = "restart-needed",
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_code_has_a_word_of_its_own_in_small_letters() {
        let mut seen = HashSet::new();
        for code in ProblemCode::ALL {
            let word = code.word();
            assert!(seen.insert(word), "{word}");
            let is_allowed = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(word.chars().all(is_allowed), "{word}");
        }
    }
}
