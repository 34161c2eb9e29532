//! What a template knows: the plan, and some of it by the names that vmbuilder's templates had.

use std::collections::BTreeMap;

use minijinja::Value;
use minijinja::value::Serde;

use crate::plan::{Address, Connection, Plan};
use crate::units::MIB;

/// The variables of templates.
#[derive(Clone, Debug)]
pub struct Context(BTreeMap<String, Value>);

impl Context {
    /// Those of a machine. `plan` is the whole plan, as `rvmb plan --json` prints it.
    pub fn of(plan: &Plan) -> Context {
        let (guest, target) = (&plan.guest, &plan.target);
        // The users of a tree that somebody else has made are its own.
        let user = plan.tree.existing.is_none().then_some(&guest.user);
        let mirror = |security: bool| {
            let source = plan.archive.sources.iter().find(|source| source.security == security);
            source.map_or("", |source| source.uri.as_str())
        };
        let destination = plan.output.directory.display().to_string();
        let image = plan.disks.first().map_or("", |disk| disk.image.as_str());
        let texts = [
            ("hostname", guest.hostname.as_str()),
            ("domain", &guest.domain),
            ("distro", &plan.suite.distro),
            ("suite", &plan.suite.codename),
            ("arch", &plan.architecture),
            ("flavour", &target.flavour),
            ("hypervisor", &target.hypervisor),
            ("mirror", mirror(false)),
            ("security_mirror", mirror(true)),
            ("user", user.map_or("", |user| &user.name)),
            ("name", user.map_or("", |user| &user.full_name)),
            ("lang", &guest.locale),
            ("timezone", &guest.timezone),
            ("image", image),
            ("destination", &destination),
        ];
        let Context(mut values) = Context::of_names(texts);
        values.extend(Context::network(plan));
        values.insert("mem".into(), Value::from(target.memory.bytes() / MIB));
        values.insert("cpus".into(), Value::from(target.cpus));
        values.insert("components".into(), Value::from(plan.archive.components.clone()));
        values.insert("plan".into(), Value::from(Serde(plan)));
        Context(values)
    }

    /// The network by vmbuilder's names: that of the first address. What there is not is an empty text, so
    /// that a template can ask.
    fn network(plan: &Plan) -> impl Iterator<Item = (String, Value)> {
        let network = &plan.guest.network;
        let fixed = network.static_addresses();
        let first = fixed.and_then(|fixed| fixed.addresses.first());
        let text = |value: Option<String>| value.unwrap_or_default();
        let of_first = |part: fn(&Address) -> Option<String>| text(first.and_then(part));
        let gateway = fixed.and_then(|fixed| fixed.gateway(first?.address.is_ipv6()));
        let servers: Vec<String> = network.name_servers.iter().map(ToString::to_string).collect();
        let (bridge, libvirt_network) = match &plan.target.nic.connection {
            Connection::Bridge(name) => (name.as_str(), ""),
            Connection::LibvirtNetwork(name) => ("", name.as_str()),
        };
        let ip = first.map_or("dhcp".to_owned(), |address| address.address.to_string());
        let texts = [
            ("ip", ip),
            ("mask", of_first(|address| Some(address.mask()?.to_string()))),
            ("net", of_first(|address| Some(address.first().to_string()))),
            ("bcast", of_first(|address| address.mask().map(|_| address.last().to_string()))),
            ("gw", text(gateway.map(|gateway| gateway.address.to_string()))),
            ("dns", servers.join(" ")),
            ("mac", plan.target.nic.mac.to_string()),
            ("bridge", bridge.to_owned()),
            ("network", libvirt_network.to_owned()),
        ];
        texts.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value)))
    }

    /// Variables that are texts.
    pub(super) fn of_names<'a>(names: impl IntoIterator<Item = (&'a str, &'a str)>) -> Context {
        Context(names.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect())
    }

    /// The same with what rvmb itself would write, as `default`.
    pub(super) fn with_default(&self, default: &str) -> Value {
        let default = ("default".to_owned(), Value::from(default));
        Value::from_pairs(self.0.clone().into_iter().chain([default]))
    }

    /// The names of the variables.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.keys().cloned().chain(["default".to_owned()]).collect()
    }
}
