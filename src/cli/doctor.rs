//! `bearward doctor`: makes the real token request once, and names the cause of a failure and the line that fixes it.

use std::{io, path::PathBuf, process::ExitCode};

use super::{
    BAD_INPUT, Format,
    control_thread::on_control_thread,
    fail, print, print_diagnostic, print_error,
    terminal::{printable_json, shows_colours},
};
use crate::{
    config::{self, Config},
    doctor::{DoctorReport, Options, Style, examine},
    login::redirect::with_default_redirect_uri,
};

const EXAMPLES: &str = "\
Examples:
  bearward doctor                    examine every provider
  bearward doctor hapn --detect      also find the authentication that works
  bearward doctor --format json

The exit status is 0 without findings, and 1 with some. Each finding has the
line of the configuration that fixes it, where there is one.";

/// Make the real token request, and name what is wrong and the line that fixes it
///
/// Shows each exchange as sent and received. Secrets are replaced by the first 8 digits of their SHA-256. No refresh
/// token is sent, and nothing is stored.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The key of the provider's table; else all providers are examined
    provider: Option<String>,
    /// The configuration; else $BEARWARD_CONFIG, ./bearward.toml, /etc/bearward/bearward.toml
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Try the other ways to authenticate the client, each once, and print the one that works
    #[arg(long)]
    detect: bool,
    /// The format of the report
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let path = config::find(arguments.config.as_deref(), &config::environment);
    let config = match config::load(&path, &config::environment) {
        Ok((config, _)) => config,
        Err(report) => {
            print_diagnostic(&report.to_string());
            return ExitCode::from(BAD_INPUT);
        }
    };
    if let Some(name) = &arguments.provider
        && !config.providers.iter().any(|one| *one.name == **name)
    {
        print_error(&unknown_provider(
            &config,
            name,
            &path.display().to_string(),
        ));
        return ExitCode::from(BAD_INPUT);
    }
    let examined = on_control_thread(async { Ok(examine_all(&config, arguments).await) });
    let report = match examined {
        Ok(report) => report,
        Err(failure) => return fail(failure),
    };
    let status = match report.is_ok() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    };
    let text = match arguments.format {
        Format::Json => printable_json(&format!("{:#}\n", report.to_json())),
        Format::Text => report.to_text(style()),
    };
    print(&text, status)
}

async fn examine_all(config: &Config, arguments: &Arguments) -> DoctorReport {
    let options = Options {
        detects: arguments.detect,
    };
    let admin = config.admin.as_ref().map(|admin| &admin.listen);
    let mut examinations = Vec::new();
    for provider in &config.providers {
        let is_meant = |name: &String| **name == *provider.name;
        if arguments.provider.as_ref().is_none_or(is_meant) {
            let provider = with_default_redirect_uri(provider, admin);
            let examined = examine(config, &provider, options, &config::environment);
            examinations.push(examined.await);
        }
    }
    let file = config.path.as_ref().map(|path| path.display().to_string());
    DoctorReport::new(file.unwrap_or_default(), examinations)
}

fn unknown_provider(config: &Config, name: &str, file: &str) -> String {
    let unknown = format!("there is no provider {name:?} in {file}");
    match config.similar_provider(name) {
        Some(similar) => format!("{unknown}; did you mean {similar:?}?"),
        None => unknown,
    }
}

fn style() -> Style {
    Style {
        is_coloured: shows_colours(&io::stdout()),
    }
}
