//! Hand-written poll functions: in adapters of streams and bodies only. Everything else is `async fn`.

use super::source;

/// Modules without poll functions.
const MODULES: &[&str] = &["src/proxy", "src/server"];

/// The files of adapters; a folder or a stem that ends in `*` stands for all that begin so.
const ADAPTERS: &[&str] = &[
    "src/proxy/body/*",
    "src/proxy/upgrade.rs",
    "src/proxy/upstream/*",
    "src/server/deadlines.rs",
    "src/server/framing_gate*",
    "src/server/stream.rs",
    "src/server/timer.rs",
    "src/server/tracked_service.rs",
];

/// Checks a file; each finding is `FILE:LINE: text`.
pub(crate) fn check(file: &str, text: &str) -> Vec<String> {
    let is_adapter = |adapter: &str| match adapter.strip_suffix('*') {
        Some(start) => file.starts_with(start),
        None => *file == *adapter,
    };
    let is_async_module = MODULES.iter().any(|module| {
        file.strip_prefix(module)
            .is_some_and(|rest| rest.starts_with(['/', '.']))
    });
    if !is_async_module || ADAPTERS.iter().any(|adapter| is_adapter(adapter)) {
        return Vec::new();
    }
    source::tokens(text)
        .windows(2)
        .filter(|pair| pair[0].word == "fn" && pair[1].word.starts_with("poll_"))
        .map(|pair| {
            format!(
                "{file}:{}: `{}` is no adapter's",
                pair[1].line, pair[1].word
            )
        })
        .collect()
}

mod rules {
    use super::*;

    #[test]
    fn a_poll_function_needs_an_adapter() {
        let text = "impl Body for A {\n    fn poll_frame(&mut self) {}\n}";
        for file in [
            "src/proxy/forward.rs",
            "src/server.rs",
            "src/proxy/http/body.rs",
        ] {
            assert_eq!(
                check(file, text),
                [format!("{file}:2: `poll_frame` is no adapter's")]
            );
        }
        for file in [
            "src/proxy/body/upload.rs",
            "src/proxy/upstream/pool.rs",
            "src/server/framing_gate/scan.rs",
            "src/admin/page.rs",
        ] {
            assert_eq!(check(file, text), [""; 0]);
        }
        assert_eq!(
            check(
                "src/proxy/forward.rs",
                "// fn poll_it()\nlet a = poll_fn(f);"
            ),
            [""; 0]
        );
    }
}
