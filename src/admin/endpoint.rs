//! What is there to ask for.

use http::Method;

use super::{guard::Audience, segment};

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Livez,
    Readyz,
    Metrics,
    Page,
    Status,
    Login { provider: String },
    Callback,
    Refresh { provider: String },
}

impl Endpoint {
    /// The endpoint at `path`.
    pub(super) fn at(path: &str) -> Option<Self> {
        Some(match path {
            "/livez" => Self::Livez,
            "/readyz" => Self::Readyz,
            "/metrics" => Self::Metrics,
            "/" => Self::Page,
            "/api/status" => Self::Status,
            "/callback" => Self::Callback,
            _ => match path.strip_prefix("/login/") {
                Some(name) => Self::Login {
                    provider: provider(name)?,
                },
                None => {
                    let name = path
                        .strip_prefix("/api/providers/")?
                        .strip_suffix("/refresh")?;
                    Self::Refresh {
                        provider: provider(name)?,
                    }
                }
            },
        })
    }

    /// Who it is for.
    pub(super) fn audience(&self) -> Audience {
        match self {
            Self::Livez | Self::Readyz | Self::Metrics => Audience::Anyone,
            Self::Callback => Audience::Returning,
            Self::Page | Self::Status | Self::Login { .. } | Self::Refresh { .. } => {
                Audience::Operator
            }
        }
    }

    /// The `Allow` of a 405 (RFC 9110 §10.2.1).
    pub(super) fn allow(&self) -> &'static str {
        match self {
            Self::Refresh { .. } => "POST",
            // Each of them does something once, which a HEAD is not to do (RFC 9110 §9.2.1).
            Self::Login { .. } | Self::Callback => "GET",
            _ => "GET, HEAD",
        }
    }

    pub(super) fn allows(&self, method: &Method) -> bool {
        self.allow()
            .split(", ")
            .any(|allowed| allowed == method.as_str())
    }
}

/// The provider that one segment names.
fn provider(segment: &str) -> Option<String> {
    (!segment.contains('/')).then(|| segment::decoded(segment))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_named_by_one_segment() {
        let refresh = |provider: &str| {
            Some(Endpoint::Refresh {
                provider: provider.into(),
            })
        };
        assert_eq!(Endpoint::at("/api/providers/hapn/refresh"), refresh("hapn"));
        assert_eq!(
            Endpoint::at("/api/providers/a%2Fb%20c/refresh"),
            refresh("a/b c")
        );
        assert_eq!(
            Endpoint::at("/login/happeo"),
            Some(Endpoint::Login {
                provider: "happeo".into()
            })
        );
        for path in [
            "/login/a/b",
            "/login/%zz",
            "/login",
            "/callback/",
            "/callback/x",
        ] {
            assert_eq!(Endpoint::at(path), None, "{path}");
        }
        for path in [
            "/api/providers/a/b/refresh",
            "/api/providers/%zz/refresh",
            "/api/providers/refresh",
            "//",
            "",
        ] {
            assert_eq!(Endpoint::at(path), None, "{path}");
        }
    }
}
