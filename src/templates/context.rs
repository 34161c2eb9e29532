//! What a template knows: the plan, and some of it by the names that vmbuilder's templates had.

use std::collections::BTreeMap;

use minijinja::Value;
use minijinja::value::Serde;

use crate::plan::Plan;
use crate::units::MIB;

/// The variables of templates.
#[derive(Clone, Debug)]
pub struct Context(BTreeMap<String, Value>);

impl Context {
    /// Those of a machine. `plan` is the whole plan, as `rvmb plan --json` prints it.
    pub fn of(plan: &Plan) -> Context {
        let (guest, target) = (&plan.guest, &plan.target);
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
            ("user", &guest.user.name),
            ("name", &guest.user.full_name),
            ("lang", &guest.locale),
            ("timezone", &guest.timezone),
            ("image", image),
            ("destination", &destination),
            ("ip", "dhcp"),
        ];
        let Context(mut values) = Context::of_names(texts);
        values.insert("mem".into(), Value::from(target.memory.bytes() / MIB));
        values.insert("cpus".into(), Value::from(target.cpus));
        values.insert("components".into(), Value::from(plan.archive.components.clone()));
        values.insert("plan".into(), Value::from(Serde(plan)));
        Context(values)
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
