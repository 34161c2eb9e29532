//! What is asked of this host, on one that lacks things.

use super::*;
use crate::appliance::Places;
use crate::manifest::MANIFEST;
use crate::suite::Registry;

fn suite() -> Suite {
    Registry::load().unwrap().find("debian", "bookworm").unwrap().clone()
}

/// What `destination` says of `path`, with and without --overwrite.
fn asked(path: &Path) -> [Result<PathBuf>; 2] {
    let registry = Registry::load().unwrap();
    [false, true].map(|overwrite| {
        let places = Places { destination: Some(path.to_owned()), overwrite, ..Places::default() };
        let appliance = Appliance {
            hypervisor: "kvm".to_owned(),
            distro: "debian".to_owned(),
            suite: Some("bookworm".to_owned()),
            architecture: Some("amd64".to_owned()),
            places,
            ..Appliance::default()
        };
        destination(&appliance, &Request::read(&appliance, &registry).unwrap())
    })
}

#[test]
fn a_keyring_that_is_named_must_be_a_file() {
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("keyring.gpg");
    assert_eq!(find_keyring(Some(&file), &suite()).unwrap_err().kind(), Kind::Config);
    assert_eq!(find_keyring(Some(room.path()), &suite()).unwrap_err().kind(), Kind::Config);
    std::fs::write(&file, "").unwrap();
    assert_eq!(find_keyring(Some(&file), &suite()).unwrap(), file);
}

#[test]
fn a_keyring_that_is_missing_names_its_package() {
    let room = tempfile::tempdir().unwrap();
    let mut suite = suite();
    let paths = ["one", "other"].map(|name| room.path().join(name));
    suite.keys.keyrings = paths.iter().map(|path| path.display().to_string()).collect();
    let error = find_keyring(None, &suite).unwrap_err();
    assert_eq!(error.kind(), Kind::Host);
    assert!(error.message().contains(&suite.keys.keyrings[0]), "{error}");
    assert!(error.hints()[0].contains("apt-get install debian-archive-keyring"), "{error:?}");

    suite.keys.host_packages.clear();
    assert!(find_keyring(None, &suite).unwrap_err().hints()[0].contains("--keyring"));
    std::fs::write(&paths[1], "").unwrap();
    assert_eq!(find_keyring(None, &suite).unwrap(), paths[1]);
}

#[test]
fn a_destination_that_exists_is_replaced_only_where_it_is_ours() {
    let room = tempfile::tempdir().unwrap();
    let at = |name: &str| room.path().join(name);
    for name in ["empty", "foreign", "ours"] {
        std::fs::create_dir(at(name)).unwrap();
    }
    for file in ["foreign/letter", "file"] {
        std::fs::write(at(file), "precious").unwrap();
    }
    std::fs::write(at("ours").join(MANIFEST), r#"{"generator": "rvmb 0.1.0"}"#).unwrap();
    std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
    std::os::unix::fs::symlink("ours", at("link")).unwrap();

    let cases = [
        ("new", true, true),
        ("new/below/it", true, true),
        ("empty", false, true),
        ("ours", false, true),
        ("foreign", false, false),
        ("file", false, false),
        ("dangling", false, false),
        ("link", false, false),
        ("file/below", false, false),
    ];
    for (name, without, with) in cases {
        let answers = asked(&at(name));
        assert_eq!(answers.each_ref().map(Result::is_ok), [without, with], "{name}: {answers:?}");
        for answer in answers {
            match answer {
                Ok(path) => assert_eq!(path, at(name)),
                Err(error) => assert_eq!(error.kind(), Kind::Config, "{name}: {error}"),
            }
        }
    }
    assert!(!at("new").exists(), "a look made the destination");
}

#[test]
fn the_current_directory_is_never_replaced() {
    let current = std::env::current_dir().unwrap();
    for place in current.ancestors().filter(|place| place.file_name().is_some()) {
        for answer in asked(place) {
            assert!(answer.unwrap_err().message().contains("current directory"));
        }
    }
}

#[test]
fn only_bootstrap_tools_bootstrap() {
    let error = choose_bootstrap(Some("cdebootstrap"), |_| Ok(None)).unwrap_err();
    assert!(error.kind() == Kind::Usage && error.hints()[0].contains("mmdebstrap"), "{error:?}");
}

#[test]
fn a_namespace_needs_the_tools_that_map_its_ids() {
    let user = Privilege::UserNamespace { subuid: 100_000, subgid: 100_000, count: 65536 };
    let root = Some(&Privilege::Root);
    let usual = appliance::Tree::default();
    assert!(needed_tools(Some(&user), &usual).contains(&"newuidmap"));
    assert!(!needed_tools(root, &usual).contains(&"newuidmap"));
    let for_tree = needed_tools(root, &appliance::Tree { only: true, ..usual.clone() });
    assert!(!for_tree.contains(&"qemu-img") && for_tree.contains(&"apt-get"));
    let of_tree = needed_tools(root, &appliance::Tree { existing: Some("/srv/tree".into()), ..usual });
    assert_eq!(of_tree, ["mke2fs", "qemu-img"], "nothing is installed in a tree that is there");
}

#[test]
fn the_bootstrap_tool_is_the_fastest_that_can_be_used() {
    let (new, old, debootstrap) = (Some("1.3.5"), Some("0.8.4"), Some("1.0.126"));
    for (option, mmdebstrap, debootstrap, expected) in [
        (None, new, debootstrap, Ok("mmdebstrap")),
        (None, old, debootstrap, Ok("debootstrap")),
        (Some("auto"), None, debootstrap, Ok("debootstrap")),
        (Some("auto"), old, None, Err("mmdebstrap 0.8.4 is too old: 1.3 or later is needed")),
        (Some("auto"), None, None, Err("mmdebstrap is not installed")),
        (Some("mmdebstrap"), old, debootstrap, Err("mmdebstrap 0.8.4 is too old: 1.3 or later is needed")),
        (Some("mmdebstrap"), None, debootstrap, Err("mmdebstrap is not installed")),
        (Some("debootstrap"), new, debootstrap, Ok("debootstrap")),
        (Some("debootstrap"), new, None, Err("debootstrap is not installed")),
        (Some("rpm"), new, debootstrap, Err("`rpm` is not a bootstrap tool")),
    ] {
        let version = |program: &str| {
            Ok(if program == "mmdebstrap" { mmdebstrap } else { debootstrap }.map(str::to_owned))
        };
        let chosen = choose_bootstrap(option, version);
        let found = chosen.as_ref().map(|tool| tool.name.as_str()).map_err(|error| error.message());
        assert_eq!(found, expected, "{option:?} {mmdebstrap:?} {debootstrap:?}");
    }
}

#[test]
fn results_trees_and_what_is_written_lie_apart() {
    let room = tempfile::tempdir().unwrap();
    let at = |name: &str| room.path().join(name);
    for (results, tree, option, written, good) in [
        ("out", "build", "--tmp", "tmp", true),
        ("out", "tmp/build", "--tmp", "tmp", true),
        ("tmp/out", "tmp/build", "--tmp", "tmp", true),
        ("cache/out", "build", "--cache-dir", "cache", true),
        ("build/out", "build", "--tmp", "tmp", false),
        ("out", "out/build", "--tmp", "tmp", false),
        ("out", "build", "--cache-dir", "out/cache", false),
        ("out", "cache/build", "--cache-dir", "cache", false),
        ("out", "build", "--manifest", "build/list", false),
        ("out", "build", "--raw", "build/disk", false),
    ] {
        let (results, tree, written) = (at(results), at(tree), at(written));
        let answer = are_apart((DESTDIR, &results), &[(CHROOT_DIR, &tree)], &[(option, &written)]);
        assert_eq!(answer.is_ok(), good, "{results:?} {tree:?} {written:?}: {answer:?}");
    }
}
