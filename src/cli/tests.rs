//! The command line as a whole: many lines, and what is understood of them.

use super::*;
use crate::appliance::{Appliance, settings};
use crate::units::Size;

/// The verb of a user's command line.
fn verb_of(line: &str) -> Verb {
    match parse(words(line)).expect(line) {
        Invocation::User { verb, .. } => verb,
        Invocation::Worker(args) => panic!("{line} is {args:?}"),
    }
}

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

/// The appliance of a command line, without the configuration of this host.
fn appliance(line: &str) -> Appliance {
    match verb_of(line) {
        Verb::Build(args) => args.target.appliance_with(&[]).expect(line),
        Verb::Plan(args) => args.target.appliance_with(&[]).expect(line),
        other => panic!("{line} is {other:?}"),
    }
}

/// What a refused command line is told.
fn refusal(line: &str) -> String {
    match parse(words(line)).expect_err(line) {
        Refusal::Clap(error) => error.to_string(),
        Refusal::Usage(error) => format!("{error} {}", error.hints().join(" ")),
    }
}

#[test]
fn clap_finds_no_fault() {
    command().debug_assert();
}

#[test]
fn every_argument_has_help_of_at_most_a_hundred_columns() {
    fn check(command: &mut Command, path: &str) {
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{path}: {} has no help", argument.get_id());
        }
        for text in [command.render_help(), command.render_long_help()] {
            for line in text.to_string().lines() {
                assert!(line.chars().count() <= 100, "{path}: {line}");
            }
        }
        for below in command.get_subcommands_mut() {
            let path = format!("{path} {}", below.get_name());
            check(below, &path);
        }
    }
    let mut command = command().term_width(100);
    command.build();
    check(&mut command, "rvmb");
}

#[test]
fn verbs_are_those_of_the_command() {
    let hypervisors: Vec<&str> =
        crate::hypervisor::all().iter().map(|hypervisor| hypervisor.name()).collect();
    let command = command();
    let others: Vec<&str> =
        command.get_subcommands().map(Command::get_name).filter(|name| !hypervisors.contains(name)).collect();
    assert_eq!(others, VERBS);
}

#[test]
fn options_are_settings_and_settings_are_options() {
    let command = target::option_command();
    let options: std::collections::BTreeSet<&str> =
        command.get_arguments().filter_map(clap::Arg::get_long).filter(|name| *name != "config").collect();
    let named: std::collections::BTreeSet<&str> =
        settings::SETTINGS.iter().map(|setting| setting.name).collect();
    assert_eq!(options, named);
    let mut aliases: Vec<&str> =
        command.get_arguments().filter_map(clap::Arg::get_all_aliases).flatten().collect();
    aliases.sort_unstable();
    assert_eq!(aliases, settings::ALIASES.iter().map(|(alias, _)| *alias).collect::<Vec<_>>());
}

#[test]
fn an_option_and_the_setting_of_its_name_mean_the_same() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "secret\n").unwrap();
    let file = file.path().to_string_lossy().into_owned();
    for setting in settings::SETTINGS {
        let (value, option) = match setting.name {
            "lock-user" | "overwrite" | "no-cache" | "install-recommends" | "only-chroot" | "in-place"
            | "ec2" | "ec2-landscape" | "ec2-bundle" | "ec2-upload" | "ec2-register" => {
                ("yes", format!("--{}", setting.name))
            }
            "bootstrap" => ("auto", "--bootstrap auto".to_owned()),
            "pass-file" | "rootpass-file" => (file.as_str(), format!("--{} {file}", setting.name)),
            name => ("12", format!("--{name} 12")),
        };
        let mut expected = appliance("kvm debian");
        setting.set(&mut expected, value).unwrap();
        assert_eq!(appliance(&format!("kvm debian {option}")), expected, "{}", setting.name);
        assert_ne!(appliance("kvm debian"), expected, "{}", setting.name);
    }
}

#[test]
fn vmbuilders_spelling_is_understood() {
    let line = "kvm ubuntu --suite jammy -a amd64 --kernel-flavour generic --components main,universe \
                --addpkg a --addpkg b,libc6:i386 --removepkg nano -m512 --cpus=2 -d web -o -t /var/tmp \
                --rootsize 4G --optsize 0 --lock-user --uid 1001 --dest web";
    // --dest is the same option as -d, which may be given once.
    assert!(refusal(line).contains("cannot be used multiple times"));
    let appliance = appliance(&line.replace(" --dest web", ""));
    assert_eq!((appliance.hypervisor.as_str(), appliance.distro.as_str()), ("kvm", "ubuntu"));
    assert_eq!(appliance.suite.as_deref(), Some("jammy"));
    assert_eq!(appliance.architecture.as_deref(), Some("amd64"));
    assert_eq!(appliance.flavour.as_deref(), Some("generic"));
    assert_eq!(appliance.components, ["main", "universe"]);
    assert_eq!(appliance.add_packages, ["a", "b", "libc6:i386"]);
    assert_eq!(appliance.remove_packages, ["nano"]);
    assert_eq!(appliance.memory, Some(Size::mib(512)));
    assert_eq!(appliance.cpus, Some(2));
    assert_eq!(appliance.places.destination.as_deref(), Some("web".as_ref()));
    assert!(appliance.places.overwrite && appliance.users.lock);
    assert_eq!(appliance.sizes.root, Some(Size::mib(4096)));
    assert_eq!(appliance.sizes.opt, Some(Size(0)));
    assert_eq!(appliance.users.uid, Some(1001));
}

#[test]
fn options_may_stand_anywhere() {
    let expected = appliance("kvm debian --suite trixie --addpkg a --addpkg b -o");
    for line in [
        "--suite trixie kvm debian --addpkg a --addpkg b -o",
        "-o --suite=trixie --addpkg a kvm --addpkg b debian",
        "plan -o kvm --suite trixie debian --addpkg a,b",
        "-v plan kvm debian --json --addpkg a,b -o --suite trixie",
        "plan --json -o --addpkg a,b --suite trixie kvm debian",
        "--json plan kvm -o debian --addpkg a,b --suite trixie",
    ] {
        assert_eq!(appliance(line), expected, "{line}");
    }
}

#[test]
fn what_was_not_given_stays_open() {
    let expected = Appliance { hypervisor: "qemu".into(), distro: "debian".into(), ..Appliance::default() };
    assert_eq!(appliance("qemu debian"), expected);
}

#[test]
fn options_win_over_the_configuration() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[DEFAULT]\nsuite = precise\nuser = ann\naddpkg = x\n").unwrap();
    let line = format!("kvm ubuntu -c {} --suite lucid --addpkg y", file.path().display());
    let appliance = appliance(&line);
    assert_eq!(appliance.suite.as_deref(), Some("lucid"));
    assert_eq!(appliance.users.name.as_deref(), Some("ann"));
    assert_eq!(appliance.add_packages, ["y"]);
}

#[test]
fn bad_words_are_named() {
    let table = [
        ("xen ubuntu", "xen is not available yet"),
        ("-o vmw6 ubuntu", "kvm, qemu"),
        ("kmv debian", "Did you mean `kvm`"),
        ("suits", "Did you mean `suites`"),
        ("plan xen debian", "xen is not available yet"),
        ("kvm debain", "Did you mean `debian`"),
        ("kvm fedora -o", "Distributions are debian, ubuntu"),
        ("kvm debian --adpkg x", "--addpkg"),
        ("kvm debian --rootsize 10X", "`X` is not a unit of size"),
        ("kvm debian --mem much", "is not a size"),
        ("kvm debian --cpus 0", "0 is not in 1.."),
        ("kvm debian --uid bob", "invalid digit"),
        ("kvm debian --bootstrap cdebootstrap", "debootstrap"),
        ("kvm debian --progress loud", "auto, plain, json, none"),
        ("kvm debian --size 4G --rootsize 2G", "cannot be used with"),
        ("kvm debian --pass a --pass-file b", "cannot be used with"),
        ("kvm debian -q -v", "cannot be used with"),
        ("kvm debian extra", "extra"),
        ("kvm debian --suite=", "value is required"),
        ("--json kvm debian", "--json"),
    ];
    for (line, expected) in table {
        let told = refusal(line);
        assert!(told.contains(expected), "{line}: {told}");
    }
}

#[test]
fn standard_input_gives_one_password() {
    let Verb::Build(args) = verb_of("kvm debian --pass-file - --rootpass-file -") else { panic!("no build") };
    let error = args.target.appliance_with(&[]).unwrap_err();
    assert_eq!(error.kind(), crate::Kind::Usage);
    assert!(error.message().contains("--rootpass-file"), "{error}");
}

#[test]
fn a_password_is_never_shown() {
    let invocation = parse(words("kvm debian --pass hunter2 --rootpass hunter3")).unwrap();
    assert!(!format!("{invocation:?}").contains("hunter"));
    assert!(!format!("{:?}", appliance("kvm debian --pass hunter2 --rootpass hunter3")).contains("hunter"));
    assert!(!refusal("kvm debian --pass hunter2 --pass-file x").contains("hunter"));
}
