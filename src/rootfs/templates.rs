//! The user's templates, rendered over the files that rvmb has written before.

use crate::error::Result;
use crate::host::tree::Root;
use crate::plan::Plan;
use crate::suite::NetworkStack;
use crate::templates::{Context, Template, Templates};

/// Longest file that a template gets as its `default`.
const LIMIT: u64 = 1024 * 1024;

/// Renders those that make files of the machine, as far as they are `wanted`.
pub(super) fn configure(
    plan: &Plan,
    templates: &Templates,
    root: &Root,
    wanted: impl Fn(Template) -> bool,
) -> Result<()> {
    let context = Context::of(plan);
    for (template, _) in templates.iter().filter(|(template, _)| wanted(*template)) {
        let Some((path, mode)) = file(plan, template) else { continue };
        let default = root.read(path, LIMIT)?.unwrap_or_default();
        if let Some(text) = templates.render(template, &context, &default)? {
            root.write(path, mode, text)?;
        }
    }
    Ok(())
}

/// The file in the machine, and its mode; none for a template of another place.
fn file(plan: &Plan, template: Template) -> Option<(&str, u32)> {
    let suite = &plan.suite;
    Some(match template {
        Template::Hosts => ("/etc/hosts", 0o644),
        Template::Fstab => ("/etc/fstab", 0o644),
        Template::Locale => (&suite.locale.file, 0o644),
        Template::Sources => (&suite.archive.sources.file, 0o644),
        Template::Network => match suite.network.stack {
            NetworkStack::Networkd => ("/etc/systemd/network/80-rvmb.network", 0o644),
            // Newer netplan complains about files that others can read.
            NetworkStack::Netplan => ("/etc/netplan/01-rvmb.yaml", 0o600),
            NetworkStack::Ifupdown => ("/etc/network/interfaces", 0o644),
        },
        Template::RunScript | Template::LibvirtXml => return None,
    })
}
