//! Choosing mirrors, naming lists, and keeping the states of an archive.

use super::*;

fn host(uri: &str, release: &str, origin: &str, label: &str) -> HostSource {
    HostSource { uri: uri.into(), release: release.into(), origin: origin.into(), label: label.into() }
}

#[test]
fn the_hosts_mirror_is_found_among_other_sources() {
    let sources = [
        host("https://download.example/linux/debian", "trixie", "Example", "Example CE"),
        host("http://m.example/debian-security", "trixie-security", "Debian", "Debian-Security"),
        host("http://m.example/debian", "trixie", "Debian", "Debian"),
    ];
    assert_eq!(host_mirror(&sources, "debian").as_deref(), Some("http://m.example/debian"));
    assert_eq!(host_security_mirror(&sources, "debian").as_deref(), Some("http://m.example/debian-security"));
    assert_eq!(host_mirror(&sources, "ubuntu"), None);
}

#[test]
fn the_security_pocket_can_be_left_out() {
    let registry = crate::suite::Registry::load().unwrap();
    let suite = registry.find("debian", "bullseye").unwrap();
    let address = "http://m.example/debian-security";
    for (given, expected) in [(NO_SECURITY, None), (address, Some(address))] {
        let appliance = Appliance { security_mirror: Some(given.to_owned()), ..Appliance::default() };
        let mirrors = choose_mirrors(&appliance, suite, "amd64", &[]);
        assert_eq!(mirrors.security.as_deref(), expected);
        let pockets = sources(suite, &mirrors).iter().filter(|source| source.security).count();
        assert_eq!(pockets, usize::from(expected.is_some()));
    }
}

#[test]
fn the_build_may_have_mirrors_of_its_own() {
    let registry = crate::suite::Registry::load().unwrap();
    let suite = registry.find("debian", "bullseye").unwrap();
    let text = |address: &str| Some(address.to_owned());
    let appliance = Appliance {
        mirror: text("http://bob:secret@m.example/debian"),
        security_mirror: text("http://m.example/debian-security"),
        install_mirror: text("file:/srv/debian/"),
        ..Appliance::default()
    };
    let chosen = choose_mirrors(&appliance, suite, "amd64", &[]);
    let mirrors = chosen.without_logins(&mut Access::default()).unwrap();
    assert_eq!(mirrors.origin, "install");
    let sources = sources(suite, &mirrors);
    for source in &sources {
        let (build, guest) = match source.security {
            true => ("http://m.example/debian-security", "http://m.example/debian-security"),
            false => ("file:/srv/debian", "http://m.example/debian"),
        };
        assert_eq!((source.uri.as_str(), source.address_for_guest()), (build, guest));
    }

    let both = Appliance { install_security_mirror: text("file:/srv/security"), ..appliance };
    let mirrors = choose_mirrors(&both, suite, "amd64", &[]);
    assert_eq!(mirrors.security.as_deref(), Some("file:/srv/security"));
    assert_eq!(mirrors.guest_security.as_deref(), Some("http://m.example/debian-security"));
    let without = Appliance { security_mirror: text(NO_SECURITY), ..both };
    assert_eq!(choose_mirrors(&without, suite, "amd64", &[]).security, None);
}

#[test]
fn a_release_that_has_ended_gets_a_hint_of_its_own() {
    let registry = crate::suite::Registry::load().unwrap();
    for (name, hints) in [("bullseye", 1), ("trixie", 0)] {
        let error = explain_age(Error::build("x"), registry.find("debian", name).unwrap());
        assert_eq!(error.hints().len(), hints, "{name}");
    }
}

#[test]
fn lists_are_named_as_apt_names_them() {
    assert_eq!(list_name("http://m.example/debian", "trixie"), "m.example_debian_dists_trixie");
    assert_eq!(list_name("http://u:p@127.0.0.1:80/a_b/", "x/updates"), "127.0.0.1:80_a%5fb_dists_x_updates");
    for uri in ["file:/srv/debian", "file:///srv/debian", "copy:/srv/debian/"] {
        assert_eq!(list_name(uri, "trixie"), "_srv_debian_dists_trixie", "{uri}");
    }
}

fn settings() -> Settings<'static> {
    Settings {
        sources: "deb http://m.example/debian trixie main\n",
        architecture: "amd64",
        archives: Path::new("/dev/null"),
        status: None,
        proxy: None,
        options: &[],
    }
}

fn with_digest(digest: &str) -> Vec<Source> {
    let (uri, suite) = ("http://m.example/debian".to_owned(), "trixie".to_owned());
    vec![Source { uri, suite, digest: digest.to_owned(), security: false, guest_uri: None, ppa: None }]
}

#[test]
fn a_kept_state_outlives_what_is_fetched_later() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let archives = place.join("archives");
    let settings = Settings { archives: &archives, ..settings() };
    let fetched = Apt::configure(&place.join("refresh"), &settings).unwrap();
    let list = fetched.lists().join("m.example_Packages");
    std::fs::write(fetched.lists().join(APT_LOCK), "").unwrap();
    std::fs::write(&list, "old").unwrap();
    let old = keep(place, &fetched, &settings, &with_digest("1")).unwrap();

    // As apt does: a new file takes the name of the old one.
    std::fs::write(fetched.lists().join("partial/new"), "new").unwrap();
    std::fs::rename(fetched.lists().join("partial/new"), &list).unwrap();
    let new = keep(place, &fetched, &settings, &with_digest("2")).unwrap();
    let read = |state: &Path| std::fs::read_to_string(state.join("lists/m.example_Packages")).unwrap();
    assert_eq!((read(&old).as_str(), read(&new).as_str()), ("old", "new"));
    assert!(!old.join("lists").join(APT_LOCK).exists());
    let configuration = std::fs::read_to_string(Apt::open(&old).configuration()).unwrap();
    assert!(configuration.contains(&format!("Dir::State::Lists \"{}/lists/\"", old.display())));
}

#[test]
fn a_kept_state_is_marked_as_used_and_never_half_there() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let archives = place.join("archives");
    let settings = Settings { archives: &archives, ..settings() };
    let fetched = Apt::configure(&place.join("refresh"), &settings).unwrap();
    let state = keep(place, &fetched, &settings, &with_digest("1")).unwrap();
    std::fs::write(state.join("resolved-x.json"), "[]").unwrap();
    File::open(&state).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    // What a killed rvmb left of the next state.
    let left = place.join(short_digest("2".to_owned())).with_extension("partial");
    std::fs::create_dir_all(left.join("lists/half")).unwrap();

    assert_eq!(keep(place, &fetched, &settings, &with_digest("1")).unwrap(), state);
    assert!(state.join("resolved-x.json").is_file());
    assert!(std::fs::metadata(&state).unwrap().modified().unwrap() > SystemTime::UNIX_EPOCH);
    let next = keep(place, &fetched, &settings, &with_digest("2")).unwrap();
    assert!(!next.join("lists/half").exists() && !left.exists());
}

#[test]
fn the_lists_of_a_mirror_on_this_host_are_copied() {
    let directory = tempfile::tempdir().unwrap();
    let [from, to] = ["from", "to"].map(|name| directory.path().join(name));
    for place in [&from, &to] {
        std::fs::create_dir(place).unwrap();
    }
    let mirror = directory.path().join("Packages");
    std::fs::write(&mirror, "old").unwrap();
    std::os::unix::fs::symlink(&mirror, from.join("list")).unwrap();
    link_lists(&from, &to).unwrap();
    std::fs::write(&mirror, "new").unwrap();
    assert_eq!(std::fs::read_to_string(to.join("list")).unwrap(), "old");
}

#[test]
fn the_date_of_a_release_is_read() {
    assert_eq!(release_date("Origin: Debian\nDate: Sat, 06 Sep 2025 09:30:00 UTC\n"), Some(1_757_151_000));
    assert_eq!(release_date("Date: whenever\n"), None);
}
