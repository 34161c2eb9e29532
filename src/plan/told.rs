//! What was decided and why, a line for each decision: what `--verbose` says while a plan is made.

use super::{Layer, Plan, Privilege};

/// The decisions of a plan, for people.
pub(super) fn decisions(plan: &Plan) -> Vec<String> {
    let (archive, host) = (&plan.archive, &plan.host);
    let mut addresses: Vec<&str> = archive.sources.iter().map(|source| source.uri.as_str()).collect();
    addresses.dedup();
    let privilege = match host.privilege {
        Privilege::Root => "root",
        Privilege::UserNamespace { .. } => "a user namespace with subordinate ids",
    };
    vec![
        format!("release: {} for {}, kernel {}", plan.suite.title(), plan.architecture, plan.target.flavour),
        format!("mirror: {}, from {}", addresses.join(" and "), mirror_origin(&archive.mirror_origin)),
        format!("keyring: {}", archive.keyring.display()),
        format!("privilege: {privilege}"),
        format!("bootstrap tool: {}", bootstrap_tool(plan)),
        format!("layers: {}", layers(plan)),
    ]
}

/// The tool that makes the first tree, in words.
pub fn bootstrap_tool(plan: &Plan) -> String {
    let tool = plan.host.bootstrap.as_ref();
    tool.map_or("none".to_owned(), |tool| format!("{} {}", tool.name, tool.version))
}

/// Who decided on the mirror, in words.
pub fn mirror_origin(word: &str) -> &str {
    match word {
        "install" => "--install-mirror or the configuration",
        "option" => "--mirror or the configuration",
        "host" => "this host's apt sources",
        "suite" => "the release's defaults",
        other => other,
    }
}

fn layers(plan: &Plan) -> String {
    if !plan.host.overlay {
        return "none, for this host cannot stack them".to_owned();
    }
    let Some(layers) = &plan.packages.layers else { return "none, for the tree is there".to_owned() };
    let state = |name: &str, layer: &Layer| {
        format!("{name} {}", if layer.cached { "in the cache" } else { "to be made" })
    };
    let mut states = vec![state("base", &layers.base), state("initramfs", &layers.initramfs)];
    states.extend(layers.packages.as_ref().map(|layer| state("packages", layer)));
    states.join(", ")
}
