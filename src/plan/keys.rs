//! The names of what is made: the plan's own, and the keys of its layers. Each is a digest over everything that
//! decides what is in it, so that equal names mean equal content.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::archive::Index;
use super::here::Host;
use super::request::Request;
use super::stage::Stage;
use super::supply::Supply;
use super::{Customising, Layer, Layers, RawDisk, Seeds, TemplateFile};
use crate::cache::layers as kept;
use crate::digest::hex;
use crate::error::{Context as _, Kind, Result};
use crate::templates::Template;
use crate::units::Size;

/// Version of what the worker does with a plan. A new one makes every cached layer obsolete.
const RECIPE: u32 = 3;

/// Namespace of the plans' identities.
const NAMESPACE: Uuid = uuid::uuid!("d4f1d5b0-1c5e-5b63-9a51-72766d620000");

/// The plan's name: everything that decides the bytes of the image, but for passwords.
pub(super) fn identity(
    request: &Request<'_>,
    customising: &Customising,
    raws: &[RawDisk],
    supply: &Supply,
    layers: Option<&Layers>,
    format: &str,
    epoch: i64,
) -> Result<Uuid> {
    let keys: Vec<&str> = layers.into_iter().flat_map(Layers::all).map(|layer| layer.key.as_str()).collect();
    let supply = supply.identity();
    let mut guest = request.guest.clone();
    for script in [&mut guest.firstboot, &mut guest.firstlogin].into_iter().flatten() {
        // Where it was read from decides nothing; its digest does.
        script.path = PathBuf::new();
    }
    let parts = (
        RECIPE,
        keys,
        request.suite,
        (guest, identity_of(customising)),
        format,
        &request.architecture,
        (&request.storage.disks, request.storage.table),
        raws.iter().map(|raw| raw.size).collect::<Vec<Size>>(),
        supply,
        &request.components,
        epoch,
    );
    let name = serde_json::to_vec(&parts).context(Kind::Build, || "naming the plan".into())?;
    Ok(Uuid::new_v5(&NAMESPACE, &name))
}

/// What of the user's own decides the bytes: all but where it was read from.
fn identity_of(customising: &Customising) -> impl serde::Serialize {
    let mut copied = customising.copied.clone();
    for copied in &mut copied {
        // A directory keeps its own name in the machine, unless the destination names it.
        copied.source = copied.source.file_name().map(PathBuf::from).unwrap_or_default();
    }
    let exec = customising.exec.as_ref().map(|exec| exec.sha256.clone());
    let inside =
        |file: &&TemplateFile| Template::of_name(&file.name).is_some_and(Template::is_in_the_machine);
    let templates: Vec<(String, String)> = customising
        .templates
        .iter()
        .filter(inside)
        .map(|file| (file.name.clone(), file.sha256.clone()))
        .collect();
    (copied, exec, templates)
}

/// Keys of the layers: everything that decides what is in them.
pub(super) fn layers(
    request: &Request<'_>,
    host: &Host,
    index: &Index,
    debconf: &[String],
    seeds: Option<&Seeds>,
    epoch: i64,
) -> Result<Layers> {
    let digest = |parts: BTreeMap<&str, String>| -> Result<String> {
        let text = serde_json::to_vec(&parts).context(Kind::Build, || "naming a layer".into())?;
        Ok(hex(&Sha256::digest(text)[..20]))
    };
    // The answers are part of the lowest layer that is made with them, and through it of those above.
    let seed = |stage: Stage| match seeds {
        Some(seeds) if seeds.before == stage => seeds.file.sha256.clone(),
        _ => String::new(),
    };
    let suite = request.suite;
    let releases: Vec<String> =
        index.sources.iter().map(|source| format!("{} {}", source.suite, source.digest)).collect();
    let base = digest(BTreeMap::from([
        ("recipe", RECIPE.to_string()),
        (
            "tool",
            host.bootstrap.as_ref().map_or(String::new(), |tool| format!("{} {}", tool.name, tool.version)),
        ),
        ("suite", format!("{} {}", suite.distro, suite.codename)),
        ("architecture", request.architecture.clone()),
        ("variant", request.variant.pattern.to_owned()),
        ("releases", releases.join("\n")),
        ("components", request.components.join(" ")),
        ("packages", request.base.join(" ")),
        ("checked-early", request.storage.checked_early()),
        ("debconf", debconf.join("\n")),
        ("merged-usr", format!("{:?}", suite.bootstrap.merged_usr)),
        ("epoch", epoch.to_string()),
        ("seeds", seed(Stage::Base)),
    ]))?;
    let initramfs =
        digest(BTreeMap::from([("base", base.clone()), ("initramfs", format!("{:?}", suite.initramfs))]))?;
    let system = digest(BTreeMap::from([
        ("base", base.clone()),
        ("packages", request.system.join(" ")),
        ("seeds", seed(Stage::System)),
    ]))?;
    let wanted = !request.added.is_empty()
        || !request.removed.is_empty()
        || seeds.is_some_and(|seeds| seeds.before == Stage::Packages);
    let packages = wanted
        .then(|| {
            digest(BTreeMap::from([
                ("system", system.clone()),
                ("added", request.added.join(" ")),
                ("removed", request.removed.join(" ")),
                ("recommends", request.recommends.to_string()),
                ("seeds", seed(Stage::Packages)),
            ]))
        })
        .transpose()?;
    let layer = |key: String| Layer {
        cached: host.overlay && host.cache.has_layer(&kept::name(&host.privilege.owners(), &key)),
        key,
    };
    Ok(Layers {
        base: layer(base),
        initramfs: layer(initramfs),
        system: layer(system),
        packages: packages.map(layer),
    })
}
