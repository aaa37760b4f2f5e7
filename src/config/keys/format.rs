//! The formats of texts, as regular expressions that JavaScript has too.

use crate::config::choices::ERROR_CODES;

/// A format of texts.
///
/// In an array it is that of each text, in a table that of each value, or of each name of a
/// parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Format {
    /// A URL of an endpoint: absolute, or relative to `base_url`.
    Endpoint,
    /// An absolute URL.
    Url,
    /// An absolute URL without a query.
    BaseUrl,
    /// An absolute URL without a query, and without variables.
    Upstream,
    /// An absolute URL, without variables.
    Webhook,
    /// An absolute URI of any scheme.
    RedirectUri,
    /// The address of an HTTP proxy.
    Proxy,
    /// An address to listen on.
    Listen,
    /// An address to listen on, or `off`.
    ListenOrOff,
    /// Directives of the log.
    LogLevel,
    /// A JSON Pointer (RFC 6901).
    Pointer,
    /// A JSON Pointer to a member, not to the whole response.
    MemberPointer,
    /// A method and a path.
    Request,
    /// A rule of `allow`: a method and a pattern of paths.
    AllowRule,
    /// A path prefix.
    PathPrefix,
    /// A path, which may be empty.
    OptionalPath,
    /// The name of a host, or an IP address.
    Host,
    /// A host, or `*.` before one.
    HostPattern,
    /// A token of HTTP (RFC 9110 §5.6.2), such as a field name.
    Token,
    /// The text before a token in a header field.
    Prefix,
    /// The name of a query parameter.
    QueryName,
    /// Any text that is not empty.
    NonEmpty,
    /// An error code of RFC 6749, or `temporary`.
    ErrorCode,
}

/// A level in any case, with or without a target before it.
const DIRECTIVE: &str = "([A-Za-z0-9_:-]+=)?([Oo][Ff]{2}|[Ee][Rr]{2}[Oo][Rr]|[Ww][Aa][Rr][Nn]|\
                         [Ii][Nn][Ff][Oo]|[Dd][Ee][Bb][Uu][Gg]|[Tt][Rr][Aa][Cc][Ee])";
const PORT: &str = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|\
                    6553[0-5])";
const OCTET: &str = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const SCHEME: &str = "[Hh][Tt]{2}[Pp][Ss]?:/*";
const TOKEN: &str = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const NAME: &str = "[A-Za-z0-9._-]+";

impl Format {
    /// Returns the regular expression of the whole text.
    pub(in crate::config) fn pattern(self) -> String {
        // A variable may hold any part of a URL. Without user information.
        let host = r"([^/?#@:\s\\\[\]]+|\[[0-9A-Fa-f:.]+\])";
        let authority = format!(r"{host}(:(0*{PORT})?|:[^/?#@\s]*[{{][^/?#@\s]*)?");
        let url = format!(r"{SCHEME}{authority}([/?][^#\s]*)?");
        let listen_port = format!("(0+|0*{PORT})");
        let listen = format!(
            r"unix:/.*|systemd:[ -9;-~]{{1,255}}|localhost:{listen_port}|{OCTET}([.]{OCTET}){{3}}:{listen_port}|\[[0-9A-Fa-f:.]+(%[0-9]+)?\]:{listen_port}"
        );
        let pattern = match self {
            Self::Endpoint => {
                format!(r"{url}|[{{].*|[^:/?#\s{{][^:/?#\s]*([/?][^#\s]*)?|[/?][^#\s]*")
            }
            Self::Url => format!(r"{url}|[{{].*"),
            Self::BaseUrl => format!(r"{SCHEME}{authority}(/[^?#\s]*)?|[{{].*"),
            Self::Upstream => format!(r"{SCHEME}{authority}(/[^?#\s]*)?"),
            Self::Webhook => url,
            Self::RedirectUri => r"[A-Za-z][A-Za-z0-9+.-]*:/{0,3}[^/#\s][^#\s]*|[{].*".to_owned(),
            Self::Proxy => format!(r"[Hh][Tt]{{2}}[Pp]:/*{authority}/?"),
            Self::Listen => listen,
            Self::ListenOrOff => format!("off|{listen}"),
            Self::LogLevel => format!(r"\s*{DIRECTIVE}(\s*,\s*{DIRECTIVE})*\s*"),
            Self::Pointer => "(/([^~]|~[01])*)?".to_owned(),
            Self::MemberPointer => "/([^~]|~[01])*".to_owned(),
            Self::Request => format!("{TOKEN} /[^# ]*"),
            Self::AllowRule => r"\s*([*]|[^a-z\s/@,?#]+)\s+/[^?#%\\]*".to_owned(),
            Self::PathPrefix => r"/[^?#%\\]*".to_owned(),
            Self::OptionalPath => "/*|/[^?#]*|[{].*".to_owned(),
            Self::Host => format!(r"{NAME}|\[?[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*\]?"),
            Self::HostPattern => format!(r"([*][.])?{NAME}|\[[0-9A-Fa-f:.]+\]|.*[{{].*"),
            Self::Token => TOKEN.to_owned(),
            Self::Prefix => "([!-~][ -~]*)?".to_owned(),
            Self::QueryName => "[A-Za-z0-9._~-]+".to_owned(),
            Self::NonEmpty => r"[\s\S]+".to_owned(),
            Self::ErrorCode => format!("temporary|{}", ERROR_CODES.join("|")),
        };
        format!("^({pattern})$")
    }
}
