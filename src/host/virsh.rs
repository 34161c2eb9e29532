//! virsh, by which libvirt is asked and told: virsh(1).
//!
//! Nothing here decides; what virsh says is read by functions that need no libvirt.

use std::ffi::OsString;
use std::path::Path;

use super::run::{Command, Runner};
use crate::error::Result;

/// The program.
pub const VIRSH: &str = "virsh";

/// What of the caller's environment tells libvirt's clients where the user's own libvirt is (libvirt,
/// "Connection URIs" and the XDG Base Directory Specification).
const ENVIRONMENT: [&str; 6] =
    ["HOME", "USER", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"];

/// Leaves what a TPM holds where it is.
const KEEP_TPM: &str = "--keep-tpm";

/// A libvirt that is reached by its address.
pub struct Virsh<'a> {
    runner: &'a Runner,
    uri: &'a str,
}

/// A domain that a libvirt knows: a machine, in libvirt's word for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domain {
    /// Its UUID as libvirt writes it.
    pub uuid: String,
    /// `shut off`, `running` and so on.
    pub state: String,
    /// Whether it starts with its host.
    pub autostart: bool,
    /// Whether it sleeps in a file, to go on from there.
    pub saved: bool,
}

impl Domain {
    /// Whether it runs in no way.
    pub fn is_off(&self) -> bool {
        self.state == "shut off"
    }
}

/// Which virtual machines a libvirt can make, one for each architecture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capability {
    /// The architecture in libvirt's words: `x86_64`.
    pub architecture: String,
    /// Whether its machines are whole ones, with firmware: `hvm`.
    pub full: bool,
    /// Types of domains: `qemu`, `kvm`.
    pub types: Vec<String>,
}

impl<'a> Virsh<'a> {
    /// The libvirt at `uri`; it is not asked yet.
    pub fn new(runner: &'a Runner, uri: &'a str) -> Self {
        Virsh { runner, uri }
    }

    /// Which virtual machines it can make. The first question, too, which fails where it cannot be reached.
    ///
    /// # Errors
    ///
    /// virsh's own words where it fails; this holds for everything here.
    pub fn capabilities(&self) -> Result<Vec<Capability>> {
        Ok(parse_capabilities(&self.command(["capabilities"]).output()?))
    }

    /// The domain of that name; none where there is none.
    pub fn domain(&self, name: &str) -> Result<Option<Domain>> {
        let list = self.command(["list", "--all", "--uuid", "--name"]).output()?;
        let Some(uuid) = parse_list(&list, name) else { return Ok(None) };
        // By its UUID: a name that is a number would be taken for an id.
        self.command(["dominfo", uuid]).output().map(|text| Some(parse_info(&text)))
    }

    /// The name of the domain of that UUID; none where there is none.
    pub fn name_of(&self, uuid: &str) -> Result<Option<String>> {
        let list = self.command(["list", "--all", "--uuid", "--name"]).output()?;
        let lines = list.lines().filter_map(|line| line.trim().split_once(' '));
        let mut names = lines.filter(|(found, _)| found.eq_ignore_ascii_case(uuid));
        Ok(names.next().map(|(_, name)| name.trim_start().to_owned()))
    }

    /// How many snapshots a domain has.
    pub fn snapshots(&self, domain: &Domain) -> Result<usize> {
        let text = self.command(["snapshot-list", &domain.uuid, "--name"]).output()?;
        Ok(text.lines().filter(|line| !line.trim().is_empty()).count())
    }

    /// Whether the network of that name is started; none where there is no such network.
    pub fn network(&self, name: &str) -> Result<Option<bool>> {
        let names = |more: &[&str]| -> Result<bool> {
            let text = self.command(["net-list", "--name"]).args(more).output()?;
            Ok(text.lines().any(|line| line.trim() == name))
        };
        Ok(if names(&["--all"])? { Some(names(&[])?) } else { None })
    }

    /// Defines the domain that the file at `path` describes; one of the same name and UUID is replaced.
    pub fn define(&self, path: &Path) -> Result<()> {
        self.command(["define", "--file"]).arg(path).run()
    }

    /// Defines a domain by its description.
    pub fn define_text(&self, description: String) -> Result<()> {
        self.command(["define", "--file", "/dev/stdin"]).input(description).run()
    }

    /// The description of a domain as it would be started, with what is secret in it.
    pub fn describe(&self, domain: &Domain) -> Result<String> {
        self.command(["dumpxml", "--inactive", "--security-info", &domain.uuid]).output()
    }

    /// Takes the definition of a domain away. Its disks stay, and so do its UEFI variables and, where it has one,
    /// what its TPM holds: who defines it again gets them back.
    pub fn undefine(&self, domain: &Domain, tpm: bool) -> Result<()> {
        let tpm = tpm.then_some(KEEP_TPM);
        self.command(["undefine", "--keep-nvram"]).args(tpm).arg(&domain.uuid).run()
    }

    /// Whether [`Virsh::undefine`] can leave what a TPM holds: since libvirt 8.9.
    pub fn keeps_tpm(&self) -> Result<bool> {
        Ok(self.command(["help", "undefine"]).output()?.contains(KEEP_TPM))
    }

    /// Lets the domain of that UUID start with its host.
    pub fn start_with_host(&self, uuid: &str) -> Result<()> {
        self.command(["autostart", uuid]).run()
    }

    fn command<const N: usize>(&self, words: [&str; N]) -> Command {
        let command = self.runner.command(VIRSH).args(["--quiet", "--connect", self.uri]).args(words);
        let set = ENVIRONMENT.iter().filter_map(|name| Some((*name, std::env::var_os(name)?)));
        set.fold(command, |command, (name, value): (&str, OsString)| command.env(name, value))
    }
}

/// Whether a domain of that description has a TPM (libvirt, "Domain XML format", TPM device).
pub fn has_tpm(description: &str) -> bool {
    description.contains("<tpm ")
}

/// The UUID of a domain in the lines `UUID NAME` of `virsh list --uuid --name`.
fn parse_list<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (uuid, found) = line.trim().split_once(' ')?;
        (found.trim_start() == name).then_some(uuid)
    })
}

/// The fields of `virsh dominfo`.
fn parse_info(text: &str) -> Domain {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().trim().to_owned()
    };
    Domain {
        uuid: field("UUID"),
        state: field("State"),
        autostart: field("Autostart") == "enable",
        saved: field("Managed save") == "yes",
    }
}

/// The guests of libvirt's capabilities (libvirt, "Driver capabilities XML format"), as libvirt writes
/// them: an element a line, values of attributes between single quotation marks.
fn parse_capabilities(text: &str) -> Vec<Capability> {
    let mut guests: Vec<Capability> = Vec::new();
    let mut guest = None;
    for line in text.lines().map(str::trim) {
        match line {
            "<guest>" => guest = Some(Capability::default()),
            "</guest>" => guests.extend(guest.take()),
            line => {
                let Some(guest) = &mut guest else { continue };
                guest.full |= line == "<os_type>hvm</os_type>";
                if let Some(name) = attribute(line, "<arch name=") {
                    guest.architecture = name;
                }
                guest.types.extend(attribute(line, "<domain type="));
            }
        }
    }
    guests
}

/// The value behind the beginning of an element up to its first attribute's `=`.
fn attribute(line: &str, beginning: &str) -> Option<String> {
    let value = line.strip_prefix(beginning)?.strip_prefix('\'')?;
    Some(value.split_once('\'')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_found_by_its_whole_name() {
        let list = "c1f32b72-3e04-4346-8cf1-dd24c3fe9a4f 5\n053287a5-9a6a-4953-8cad-63295f60fb23 vm1\n\
                    153287a5-9a6a-4953-8cad-63295f60fb23 my vm\n\n";
        assert_eq!(parse_list(list, "5"), Some("c1f32b72-3e04-4346-8cf1-dd24c3fe9a4f"));
        assert_eq!(parse_list(list, "my vm"), Some("153287a5-9a6a-4953-8cad-63295f60fb23"));
        assert_eq!(parse_list(list, "vm"), None);
        assert_eq!(parse_list("\n", "vm"), None);
    }

    #[test]
    fn what_virsh_tells_of_a_domain_is_read() {
        let text = "Id:             -\nName:           vm1\nUUID:           053287a5-9a6a\n\
                    OS Type:        hvm\nState:          shut off\nCPU(s):         1\n\
                    Persistent:     yes\nAutostart:      enable\nManaged save:   no\n";
        let domain = parse_info(text);
        let expected =
            Domain { uuid: "053287a5-9a6a".into(), state: "shut off".into(), autostart: true, saved: false };
        assert_eq!(domain, expected);
        assert!(domain.is_off());
        assert!(!parse_info("State: running\n").is_off());
    }

    #[test]
    fn capabilities_are_told_for_each_architecture() {
        let text = "<capabilities>\n  <host>\n    <cpu>\n      <arch>x86_64</arch>\n    </cpu>\n  </host>\n\n\
                    \x20 <guest>\n    <os_type>hvm</os_type>\n    <arch name='i686'>\n      <domain type='qemu'/>\n\
                    \x20   </arch>\n  </guest>\n\n  <guest>\n    <os_type>hvm</os_type>\n    <arch name='x86_64'>\n\
                    \x20     <machine maxCpus='255'>pc</machine>\n      <domain type='qemu'/>\n\
                    \x20     <domain type='kvm'/>\n    </arch>\n  </guest>\n\n</capabilities>\n";
        let capability = |architecture: &str, types: &[&str]| Capability {
            architecture: architecture.into(),
            full: true,
            types: types.iter().map(|name| (*name).to_owned()).collect(),
        };
        let expected = [capability("i686", &["qemu"]), capability("x86_64", &["qemu", "kvm"])];
        assert_eq!(parse_capabilities(text), expected);
        assert_eq!(parse_capabilities(""), []);
        assert_eq!(parse_capabilities("<guest>\n<arch name=\n</guest>"), [Capability::default()]);
    }
}
