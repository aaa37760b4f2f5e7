//! What is there to ask for.

use http::Method;

use super::segment;

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Livez,
    Readyz,
    Metrics,
    Page,
    Status,
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
            _ => {
                let name = path.strip_prefix("/api/providers/")?.strip_suffix("/refresh")?;
                let provider = (!name.contains('/')).then(|| segment::decoded(name))??;
                Self::Refresh { provider }
            }
        })
    }

    /// What probes and scrapers ask for: shown to whoever can reach the listener.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Livez | Self::Readyz | Self::Metrics)
    }

    /// The `Allow` of a 405 (RFC 9110 §10.2.1).
    pub(super) fn allow(&self) -> &'static str {
        match self {
            Self::Refresh { .. } => "POST",
            _ => "GET, HEAD",
        }
    }

    pub(super) fn allows(&self, method: &Method) -> bool {
        self.allow().split(", ").any(|allowed| allowed == method.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_named_by_one_segment() {
        let refresh = |provider: &str| Some(Endpoint::Refresh { provider: provider.into() });
        assert_eq!(Endpoint::at("/api/providers/hapn/refresh"), refresh("hapn"));
        assert_eq!(Endpoint::at("/api/providers/a%2Fb%20c/refresh"), refresh("a/b c"));
        for path in ["/api/providers/a/b/refresh", "/api/providers/%zz/refresh", "/api/providers/refresh", "//", ""] {
            assert_eq!(Endpoint::at(path), None, "{path}");
        }
    }
}
