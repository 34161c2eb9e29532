use std::fs;

use super::super::{
    Ext4Set, InitramfsTool, MachineId, MergedUsr, NetworkStack as Net, PasswordHash as Hash, SourcesFormat,
};
use super::*;

/// A registry with `files` of the administrator, by path below the directory.
fn load_with(files: &[(&str, &str)]) -> Result<Registry> {
    let directory = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    Registry::load_over(directory.path())
}

/// The text of a built-in file.
fn text_of(path: &str) -> &'static str {
    built_in::FILES.iter().find(|(name, _)| *name == path).map(|(_, text)| *text).unwrap()
}

#[test]
fn every_built_in_file_is_valid_and_in_the_order_of_release() {
    let registry = Registry::built_in().unwrap();
    assert_eq!(registry.all().len(), built_in::FILES.len());
    assert_eq!(registry.distros(), ["debian", "ubuntu"]);
    let codenames = |distro| registry.suites(distro).iter().map(|s| s.codename.clone()).collect::<Vec<_>>();
    assert_eq!(codenames("debian"), ["bullseye", "bookworm", "trixie", "forky", "sid"]);
    let ubuntu = ["xenial", "bionic", "focal", "jammy", "noble", "questing", "resolute", "stonking"];
    assert_eq!(codenames("ubuntu"), ubuntu);
}

#[test]
fn what_differs_from_release_to_release() {
    use Ext4Set::{Ancient, Classic};
    use InitramfsTool::{Dracut, InitramfsTools};
    use MachineId::{Empty, Uninitialized};
    use MergedUsr::{Bootstrap, Native, Split};
    use SourcesFormat::{Deb822, List};
    let cases = [
        ("bullseye", Empty, Classic, Net::Networkd, List, Hash::Yescrypt, InitramfsTools, Bootstrap),
        (
            "bookworm",
            Uninitialized,
            Classic,
            Net::Networkd,
            Deb822,
            Hash::Yescrypt,
            InitramfsTools,
            Bootstrap,
        ),
        ("trixie", Uninitialized, Classic, Net::Networkd, Deb822, Hash::Yescrypt, InitramfsTools, Native),
        ("forky", Uninitialized, Classic, Net::Networkd, Deb822, Hash::Yescrypt, Dracut, Native),
        ("sid", Uninitialized, Classic, Net::Networkd, Deb822, Hash::Yescrypt, Dracut, Native),
        ("xenial", Empty, Ancient, Net::Ifupdown, List, Hash::Sha512crypt, InitramfsTools, Split),
        ("bionic", Empty, Classic, Net::Netplan, List, Hash::Sha512crypt, InitramfsTools, Split),
        ("focal", Empty, Classic, Net::Netplan, List, Hash::Sha512crypt, InitramfsTools, Bootstrap),
        ("jammy", Uninitialized, Classic, Net::Netplan, List, Hash::Yescrypt, InitramfsTools, Bootstrap),
        ("noble", Uninitialized, Classic, Net::Netplan, Deb822, Hash::Yescrypt, InitramfsTools, Native),
        ("questing", Uninitialized, Classic, Net::Netplan, Deb822, Hash::Yescrypt, InitramfsTools, Native),
        ("resolute", Uninitialized, Classic, Net::Netplan, Deb822, Hash::Yescrypt, Dracut, Native),
        ("stonking", Uninitialized, Classic, Net::Netplan, Deb822, Hash::Yescrypt, Dracut, Native),
    ];
    let registry = Registry::built_in().unwrap();
    assert_eq!(cases.len(), registry.all().len());
    for (codename, machine_id, ext4, stack, sources, hash, initramfs, merged) in cases {
        let suite = registry.all().iter().find(|suite| suite.codename == codename).unwrap();
        assert_eq!(suite.init.machine_id, machine_id, "{codename}");
        assert_eq!(suite.filesystem.ext4, ext4, "{codename}");
        assert_eq!(suite.network.stack, stack, "{codename}");
        assert_eq!(suite.archive.sources.format, sources, "{codename}");
        assert_eq!(suite.users.hash, hash, "{codename}");
        assert_eq!(suite.initramfs.tool, initramfs, "{codename}");
        assert_eq!(suite.bootstrap.merged_usr, merged, "{codename}");
    }
}

#[test]
fn no_built_in_machine_has_python_or_lacks_what_the_first_boot_needs() {
    for suite in Registry::built_in().unwrap().all() {
        // What the initial RAM file system takes files from is below it; the rest need not wait for it.
        let base = &suite.bootstrap.packages;
        let above = &suite.system.packages;
        for needed in ["systemd-sysv", "udev", "e2fsprogs", "kmod"] {
            assert!(base.iter().any(|name| name == needed), "{}: {needed}", suite.codename);
        }
        for needed in ["dbus", "libpam-systemd", "iproute2"] {
            assert!(above.iter().any(|name| name == needed), "{}: {needed}", suite.codename);
        }
        assert!(!base.iter().chain(above).any(|name| name.contains("python")), "{}", suite.codename);
        for architecture in ["amd64", "arm64"] {
            assert!(suite.boot_packages(architecture).is_ok(), "{} on {architecture}", suite.codename);
        }
    }
}

#[test]
fn releases_are_found_by_each_of_their_names() {
    let registry = Registry::built_in().unwrap();
    let cases = [
        ("debian", "trixie", "trixie"),
        ("debian", "13", "trixie"),
        ("debian", "stable", "trixie"),
        ("debian", "Bookworm", "bookworm"),
        ("debian", "unstable", "sid"),
        ("ubuntu", "24.04", "noble"),
        ("ubuntu", "lts", "resolute"),
    ];
    for (distro, name, codename) in cases {
        assert_eq!(registry.find(distro, name).unwrap().codename, codename, "{name}");
    }
}

#[test]
fn unknown_releases_are_answered_with_near_ones() {
    let registry = Registry::built_in().unwrap();
    let cases = [
        ("debian", "bokworm", "`bookworm`"),
        ("ubuntu", "jamy", "`jammy`"),
        ("ubuntu", "24.4", "`24.04`"),
        ("ubuntu", "trixie", "jammy, noble"),
        ("debian", "", "trixie, forky, sid"),
        ("debain", "trixie", "`debian`"),
        ("fedora", "43", "debian, ubuntu"),
    ];
    for (distro, name, expected) in cases {
        let error = registry.find(distro, name).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.hints().iter().any(|hint| hint.contains(expected)), "{name}: {:?}", error.hints());
    }
}

#[test]
fn the_default_is_the_newest_that_is_supported_for_years() {
    let registry = Registry::built_in().unwrap();
    assert_eq!(registry.default_suite("debian").unwrap().codename, "trixie");
    assert_eq!(registry.default_suite("ubuntu").unwrap().codename, "resolute");
    assert_eq!(registry.default_suite("fedora").unwrap_err().kind(), Kind::Config);
    for (version, long) in [("13", true), ("24.04", true), ("25.04", false), ("24.10", false)] {
        assert_eq!(is_long_term(version), long, "{version}");
    }
}

#[test]
fn a_missing_directory_changes_nothing() {
    let registry = Registry::load_over(Path::new("/nonexistent/rvmb/suites")).unwrap();
    assert_eq!(registry.all().len(), built_in::FILES.len());
}

#[test]
fn files_stand_in_for_built_in_ones_and_add_to_them() {
    let trixie = text_of("debian/trixie.toml").replace("http://ftp.debian.org", "http://mirror.example");
    let duke = text_of("debian/forky.toml")
        .replace("forky", "duke")
        .replace("\"14\"", "\"15\"")
        .replace("[\"testing\"]", "[]");
    let registry = load_with(&[
        ("debian/trixie.toml", &trixie),
        ("debian/duke.toml", &duke),
        ("debian/trixie.toml.dpkg-old", "not read"),
    ])
    .unwrap();
    assert_eq!(registry.find("debian", "trixie").unwrap().archive.mirror, "http://mirror.example/debian");
    assert_eq!(registry.find("debian", "15").unwrap().codename, "duke");
    assert_eq!(registry.all().len(), built_in::FILES.len() + 1);
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let wrong = text_of("debian/trixie.toml")
        .replace("schema = 1", "schema = 2")
        .replace("default = \"generic\"", "default = \"genric\"")
        .replace("home_mode = \"0700\"", "home_mode = \"700\"")
        .replace("\"/etc/locale.conf\"", "\"etc/locale.conf\"")
        .replace("grub2/update_nvram boolean false", "grub2/update_nvram")
        .replace("\"amd64\", ", "\"x86_64\", ");
    let error = load_with(&[
        ("debian/duke.toml", &wrong),
        ("debian/misspelt.toml", "schema = 1\ndistro = \"debian\"\ncode_name = \"misspelt\"\n"),
        ("ubuntu/empty.toml", ""),
    ])
    .unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    for expected in [
        "debian/duke.toml: `schema` is 2; this program reads 1",
        "`codename` is `trixie`, but the name of the file says `duke`",
        "`archive.architectures`: `x86_64` is none of amd64,",
        "`kernel.flavours.generic.amd64`: the release does not carry that architecture",
        "there is no `kernel.flavours.genric`",
        "`boot.debconf`: `grub-pc grub2/update_nvram` is no answer for debconf",
        "`locale.file`: `etc/locale.conf` is no absolute path",
        "`users.home_mode`: `700` is no mode",
        // The line and the place in it, as the TOML reader shows them.
        "debian/misspelt.toml: TOML parse error at line 3, column 1",
        "3 | code_name = \"misspelt\"",
        "| ^^^^^^^^^",
        "ubuntu/empty.toml: TOML parse error",
    ] {
        assert!(error.message().contains(expected), "{expected} is not in\n{}", error.message());
    }
}

#[test]
fn one_name_leads_to_one_release() {
    let copy = text_of("debian/trixie.toml").replace("trixie", "duke");
    let error = load_with(&[("debian/duke.toml", &copy)]).unwrap_err();
    assert!(error.message().contains("`stable` is a name of two releases of debian"), "{error}");
    assert!(error.message().contains("`13` is a name of two releases of debian"), "{error}");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let debian = directory.path().join("debian");
    fs::create_dir_all(debian.join("folder.toml")).unwrap();
    fs::write(debian.join("binary.toml"), b"\xff\xfe").unwrap();
    let huge = fs::File::create(debian.join("huge.toml")).unwrap();
    huge.set_len(FILE_LIMIT + 1).unwrap();
    let error = Registry::load_over(directory.path()).unwrap_err();
    for expected in ["folder.toml: it is no regular file", "binary.toml: ", "huge.toml: it is too large"] {
        assert!(error.message().contains(expected), "{error}");
    }
}
