//! The findings of all providers as JSON, and as text for a terminal of 80 columns.

use std::{fmt::Write, sync::Arc};

use serde_json::{Map, Value, json};

use super::{
    cause::Finding,
    examination::Examination,
    redaction::{ShownExchange, ShownResponse},
};

/// The width of a line of text.
const WIDTH: usize = 80;

/// The look of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether it has colours.
    pub is_coloured: bool,
}

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        match self.is_coloured {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }

    fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn bad(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    fn good(self, text: &str) -> String {
        self.paint("32", text)
    }
}

/// The findings of all providers.
#[derive(Clone, Debug)]
pub struct DoctorReport {
    file: String,
    examinations: Vec<Examination>,
}

impl DoctorReport {
    /// Makes the report about the providers of `file`.
    pub fn new(file: String, examinations: Vec<Examination>) -> Self {
        Self { file, examinations }
    }

    /// Returns whether nothing was found.
    pub fn is_ok(&self) -> bool {
        self.examinations.iter().all(Examination::is_ok)
    }

    /// Returns the report as JSON: `{"ok": …, "providers": {…}}`.
    pub fn to_json(&self) -> Value {
        let providers = self.examinations.iter().map(|examination| {
            let exchanges = examination.exchanges.iter().map(exchange_json);
            let findings = examination.findings.iter();
            let findings = findings.map(|finding| self.finding_json(finding));
            let value = json!({
                "ok": examination.is_ok(),
                "exchanges": exchanges.collect::<Vec<_>>(),
                "findings": findings.collect::<Vec<_>>(),
            });
            (examination.provider.to_string(), value)
        });
        let providers: Map<_, _> = providers.collect();
        json!({ "ok": self.is_ok(), "providers": providers })
    }

    fn finding_json(&self, finding: &Finding) -> Value {
        json!({
            "kind": finding.kind.as_str(),
            "message": finding.message,
            "file": self.file,
            "line": finding.line,
            "column": finding.column,
            "fix": finding.fix,
        })
    }

    /// Returns the report as text.
    pub fn to_text(&self, style: Style) -> String {
        let mut text = String::new();
        if self.examinations.is_empty() {
            let none = format!(
                "There is no provider in {}: nothing was examined.",
                self.file
            );
            push(&mut text, &none);
        }
        for examination in &self.examinations {
            self.write_examination(examination, style, &mut text);
        }
        text
    }

    fn write_examination(&self, examination: &Examination, style: Style, text: &mut String) {
        let Examination {
            provider,
            grant,
            exchanges,
            findings,
            notes,
            worked,
        } = examination;
        let title = format!("Provider {provider} ({grant})");
        push(text, &style.bold(&title));
        for note in notes {
            push(text, &wrap(note, 2));
        }
        for exchange in exchanges {
            push(text, "");
            write_exchange(exchange, style, text);
        }
        for finding in findings {
            push(text, "");
            self.write_finding(finding, style, text);
        }
        if let Some(stanza) = worked {
            push(text, "");
            push(text, "  This worked:");
            push(text, &indent(stanza.trim_end(), 4));
        }
        push(text, "");
        push(text, &verdict(provider, findings.len(), style));
        push(text, "");
    }

    fn write_finding(&self, finding: &Finding, style: Style, text: &mut String) {
        let Finding {
            kind,
            message,
            line,
            column,
            fix,
        } = finding;
        let place = format!("{}:{line}:{column}", self.file);
        push(text, &format!("  {}  {place}", style.bad(kind.as_str())));
        push(text, &wrap(message, 4));
        if let Some(fix) = fix {
            let place = match fix.starts_with('[') {
                true => "at the end of the file".to_owned(),
                false => format!("on line {line} in place of the same key, else behind that line"),
            };
            push(text, &format!("    To fix it, write {place}:"));
            push(text, &style.good(&indent(fix, 6)));
        }
    }
}

fn verdict(provider: &Arc<str>, findings: usize, style: Style) -> String {
    match findings {
        0 => style.good(&format!("{provider}: ok")),
        1 => style.bad(&format!("{provider}: 1 problem")),
        many => style.bad(&format!("{provider}: {many} problems")),
    }
}

fn exchange_json(exchange: &ShownExchange) -> Value {
    json!({
        "request": {
            "method": exchange.method,
            "url": exchange.url,
            "headers": headers_json(&exchange.headers),
            "body": exchange.body,
        },
        "response": exchange.response.as_ref().map(|response| json!({
            "status": response.status,
            "headers": headers_json(&response.headers),
            "body": response.body,
        })),
    })
}

/// Repeated headers are joined (RFC 9110 §5.2).
fn headers_json(headers: &[(String, String)]) -> Value {
    let mut joined: Map<String, Value> = Map::new();
    for (name, value) in headers {
        let value = match joined.get(name).and_then(Value::as_str) {
            Some(first) => format!("{first}, {value}"),
            None => value.clone(),
        };
        joined.insert(name.clone(), Value::String(value));
    }
    Value::Object(joined)
}

fn write_exchange(exchange: &ShownExchange, style: Style, text: &mut String) {
    let ShownExchange {
        method,
        url,
        headers,
        body,
        response,
    } = exchange;
    push(text, &style.bold(&marked(">", &format!("{method} {url}"))));
    write_message(">", headers, body, style, text);
    match response {
        None => push(text, &style.faint("  < no response")),
        Some(ShownResponse {
            status,
            headers,
            body,
        }) => {
            push(text, &style.bold(&marked("<", &status.to_string())));
            write_message("<", headers, body, style, text);
        }
    }
}

fn write_message(
    mark: &str,
    headers: &[(String, String)],
    body: &str,
    style: Style,
    text: &mut String,
) {
    for (name, value) in headers {
        push(
            text,
            &style.faint(&marked(mark, &format!("{name}: {value}"))),
        );
    }
    if !body.is_empty() {
        push(text, &style.faint(&format!("  {mark}")));
        push(text, &marked(mark, body));
    }
}

/// Marks each line of a message, and breaks long ones, but no fingerprint.
fn marked(mark: &str, message: &str) -> String {
    let mut marked = Vec::new();
    for line in message.lines() {
        let characters: Vec<char> = line.replace('\t', "    ").chars().collect();
        let (first, mut rest) = broken(&characters);
        marked.push(format!("  {mark} {first}").trim_end().to_owned());
        while !rest.is_empty() {
            let (part, behind) = broken(rest);
            marked.push(format!("    {part}"));
            rest = behind;
        }
    }
    marked.join("\n")
}

/// The beginning of a line that fits, and the rest.
fn broken(line: &[char]) -> (String, &[char]) {
    let mut end = line.len().min(WIDTH - 4);
    let opened = line[..end].iter().rposition(|c| *c == '[');
    if let Some(start) = opened.filter(|start| *start > 0 && end < line.len()) {
        let is_closed = line[start..end].contains(&']');
        let is_fingerprint = line[start..].iter().take(10).collect::<String>() == "[redacted ";
        if !is_closed && is_fingerprint {
            end = start;
        }
    }
    (line[..end].iter().collect(), &line[end..])
}

/// Breaks a text into lines of words, indented by `indent` blanks.
fn wrap(text: &str, indent: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        let length = lines[last].chars().count() + 1 + word.chars().count();
        match lines[last].is_empty() {
            true => lines[last].push_str(word),
            false if indent + length > WIDTH => lines.push(word.to_owned()),
            false => {
                let _ = write!(lines[last], " {word}");
            }
        }
    }
    self::indent(&lines.join("\n"), indent)
}

fn indent(text: &str, blanks: usize) -> String {
    let lines = text
        .lines()
        .map(|line| format!("{}{line}", " ".repeat(blanks)));
    lines.collect::<Vec<_>>().join("\n")
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::cause::FindingKind;

    fn report(findings: Vec<Finding>) -> DoctorReport {
        let examination = Examination {
            provider: "hapn".into(),
            grant: "client_credentials".into(),
            exchanges: vec![ShownExchange {
                method: "POST".into(),
                url: "https://as.example/token".into(),
                headers: vec![("accept".into(), "application/json".into())],
                body: "x".repeat(200),
                response: None,
            }],
            findings,
            notes: Vec::new(),
            worked: None,
        };
        DoctorReport::new("bearward.toml".into(), vec![examination])
    }

    fn finding() -> Finding {
        Finding {
            kind: FindingKind::Dns,
            message: "a long message ".repeat(20),
            line: 3,
            column: 1,
            fix: Some("token_endpoint = \"https://other.example/token\"".into()),
        }
    }

    #[test]
    fn a_text_fits_80_columns() {
        let text = report(vec![finding()]).to_text(Style::default());
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        assert!(!text.contains('\u{1b}'));
        assert!(text.contains("dns  bearward.toml:3:1"), "{text}");
        assert!(text.ends_with("hapn: 1 problem\n\n"), "{text}");
    }

    #[test]
    fn colours_are_there_on_demand_alone() {
        let text = report(Vec::new()).to_text(Style { is_coloured: true });
        assert!(text.contains("\u{1b}[32mhapn: ok\u{1b}[0m"), "{text}");
    }

    #[test]
    fn the_json_has_the_promised_members() {
        let json = report(vec![finding()]).to_json();
        assert_eq!(json["ok"], false);
        let provider = &json["providers"]["hapn"];
        assert_eq!(provider["ok"], false);
        assert_eq!(provider["exchanges"][0]["request"]["method"], "POST");
        assert_eq!(provider["exchanges"][0]["response"], Value::Null);
        let finding = &provider["findings"][0];
        assert_eq!(
            (&finding["kind"], &finding["line"]),
            (&json!("dns"), &json!(3))
        );
        assert_eq!(finding["file"], "bearward.toml");
    }
}
