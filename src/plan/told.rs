//! What was decided and why, a line for each decision: what `--verbose` says while a plan is made.

use super::{Layer, Plan, Privilege};

/// The decisions of a plan, for people.
pub(super) fn decisions(plan: &Plan) -> Vec<String> {
    let privilege = match plan.host.privilege {
        Privilege::Root => "root",
        Privilege::UserNamespace { .. } => "a user namespace with subordinate ids",
    };
    let release = plan.suite.title();
    let mut lines = vec![
        format!("release: {release} for {}, kernel {}", plan.architecture, plan.target.flavour),
        format!("privilege: {privilege}"),
    ];
    lines.extend(match &plan.tree.existing {
        Some(tree) => vec![format!("tree: {}, as it is", tree.path.display())],
        None => supply(plan),
    });
    lines
}

/// What is said of packages and layers.
fn supply(plan: &Plan) -> Vec<String> {
    let archive = &plan.archive;
    let mut addresses: Vec<&str> = archive.sources.iter().map(|source| source.uri.as_str()).collect();
    addresses.dedup();
    vec![
        format!("mirror: {}, from {}", addresses.join(" and "), mirror_origin(&archive.mirror_origin)),
        format!("keyring: {}", archive.keyring.display()),
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
    let mut states = vec![
        state("base", &layers.base),
        state("initramfs", &layers.initramfs),
        state("system", &layers.system),
    ];
    states.extend(layers.packages.as_ref().map(|layer| state("packages", layer)));
    states.join(", ")
}
