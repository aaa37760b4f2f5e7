//! `[admin]` to [`Admin`].

use super::{BuildContext, accepted_hosts, guard_key, listeners};
use crate::{
    admin::Admin,
    config::{section::Section, spanned::Spanned},
};

/// Builds the admin listener and its location. `listen = "off"` and an invalid address give `None`.
pub(super) fn build(
    section: &Section<'_>,
    context: &mut BuildContext<'_>,
) -> Option<Spanned<Admin>> {
    let key = guard_key::read(section, "key", context);
    let hosts = section.strings("hosts");
    let hosts = hosts.map(|hosts| accepted_hosts::parse(&hosts, context));
    let hosts = hosts.unwrap_or_default();
    let Some(listen) = section.string("listen") else {
        let default = Admin::default();
        return Some(Spanned {
            value: Admin {
                hosts,
                key,
                ..default
            },
            location: section.location().clone(),
        });
    };
    if listen.value == "off" {
        return None;
    }

    let address = context.ok_or_push(listeners::parse_address("listen", &listen))?;
    Some(Spanned {
        value: Admin {
            listen: address,
            hosts,
            key,
        },
        location: listen.location,
    })
}
