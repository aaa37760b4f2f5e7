//! The configuration: every text is either taken or refused with problems that lie within it, and no secret is shown.

use bearward::config::{Config, parse};

/// The value of every environment variable.
const SECRET: &str = "kan4rie-Z9";

/// Reads `data` as a configuration file.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    // Files that a configuration names are read, and some of them never end.
    if text.contains("file") {
        return;
    }
    let (config, report) = match parse(&text, "fuzz.toml", &|_| Some(SECRET.into())) {
        Ok((config, report)) => (Some(config), report),
        Err(report) => (None, report),
    };
    assert_eq!(report.is_ok(), config.is_some());
    assert!(config.is_some() || report.errors() > 0);
    let lines: Vec<&str> = text.split('\n').collect();
    for problem in report.problems() {
        assert!((1..=lines.len()).contains(&problem.line), "{problem}");
        assert!(
            (1..=lines[problem.line - 1].chars().count() + 1).contains(&problem.column),
            "{problem}"
        );
        assert!(!problem.message.is_empty() && !problem.hint.is_empty());
    }
    let shown = format!("{report}{}{config:?}", report.to_json());
    assert!(
        text.contains("kan4rie") || !shown.contains("kan4rie"),
        "a secret was shown"
    );
    if let Some(config) = config {
        coherent(&config);
    }
}

fn coherent(config: &Config) {
    assert!(config.workers >= 1);
    assert!(!config.providers.is_empty() || !config.routes.is_empty());
    for route in &config.routes {
        if let Some(binding) = &route.provider {
            assert!(
                config
                    .providers
                    .iter()
                    .any(|provider| provider.name == binding.provider)
            );
        }
        let base = route.upstream.fixed();
        let base_path = base.map_or("", |base| &base.path);
        for path in [route.path.as_deref().unwrap_or("/x"), base_path] {
            assert!(
                path.is_empty() || (path.starts_with('/') && !path.ends_with('/')),
                "{path:?}"
            );
        }
        let mut lower = route
            .guard
            .hosts
            .iter()
            .chain(&route.host)
            .chain(&route.upgrade);
        assert!(lower.all(|text| !text.bytes().any(|byte| byte.is_ascii_uppercase())));
        let unsafe_bytes = |text: &str| text.bytes().any(|byte| byte <= b' ' || byte == 0x7F);
        assert!(!unsafe_bytes(base_path));
        assert!(base.is_none_or(|base| !unsafe_bytes(&base.authority) && base.port > 0));
    }
}
