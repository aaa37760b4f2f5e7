//! `[notify]` to [`NotifySettings`].

use std::sync::Arc;

use super::{BuildContext, endpoint::parse_absolute};
use crate::{
    config::{problem_code::ProblemCode, section::Section},
    notify::{NotifyCommand, NotifySettings},
    oauth::provider::is_protected,
};

/// Builds the settings of notifications; `None` without any. Called last: it has to know the variables of all secrets.
pub(super) fn build(
    section: &Section<'_>,
    context: &mut BuildContext<'_>,
) -> Option<Arc<NotifySettings>> {
    let command = command(section, context);
    let url = section.string("url").and_then(|found| {
        let url = context.ok_or_push(parse_absolute("url", &found))?;
        if !is_protected(&url, false) {
            context.push(found.warning(
                ProblemCode::Plaintext,
                "notifications are sent in plain text: others can read them",
                "use https://, or an address of this machine",
            ));
        }
        Some(url)
    });
    (command.is_some() || url.is_some()).then(|| Arc::new(NotifySettings { command, url }))
}

fn command(section: &Section<'_>, context: &mut BuildContext<'_>) -> Option<NotifyCommand> {
    let found = section.strings("command")?;
    let mut texts = found.value.iter().map(|text| text.value);
    let is_whole = found.value.iter().all(|text| !text.value.is_empty());
    let Some(program) = texts.next().filter(|_| is_whole) else {
        context.push(found.error(
            "`command` is empty, or a part of it is",
            "write it like command = [\"/usr/local/bin/page-me\", \"--urgent\"]",
        ));
        return None;
    };
    // A name without a folder is found by PATH.
    let program = match program.contains('/') {
        true => context.resolve(program),
        false => program.into(),
    };
    if program.components().count() > 1 && !program.is_file() {
        context.push(found.warning(
            ProblemCode::CommandNotFound,
            format!("`command` does not exist: {}", program.display()),
            "name an executable file, by its whole path or relative to the configuration's folder",
        ));
    }
    Some(NotifyCommand {
        program,
        arguments: texts.map(str::to_owned).collect(),
        secret_variables: context.secret_variables.clone(),
    })
}
