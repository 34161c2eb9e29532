//! The command line as a whole: many lines, and what is understood of them.

use super::*;
use crate::appliance::{Appliance, settings};

const PROGRAMS: [Program; 3] = [Program::Rvmb, Program::Vmbuilder, Program::UbuntuVmBuilder];

/// The verb of a user's command line.
fn verb_of(line: &str) -> Verb {
    verb_under(Program::Rvmb, line)
}

fn verb_under(program: Program, line: &str) -> Verb {
    match parse(program, words(line)).expect(line) {
        Invocation::User { verb, .. } => verb,
        Invocation::Worker(args) => panic!("{line} is {args:?}"),
    }
}

/// The words of a line; `''` is an empty one.
fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(|word| OsString::from(if word == "''" { "" } else { word })).collect()
}

/// The appliance of a command line, without the configuration of this host.
fn appliance(line: &str) -> Appliance {
    appliance_under(Program::Rvmb, line)
}

fn appliance_under(program: Program, line: &str) -> Appliance {
    match verb_under(program, line) {
        Verb::Build(args) => args.target.appliance_with(&[]).expect(line),
        Verb::Plan(args) => args.target.appliance_with(&[]).expect(line),
        other => panic!("{line} is {other:?}"),
    }
}

/// What a refused command line is told.
fn refusal(line: &str) -> String {
    refusal_under(Program::Rvmb, line)
}

fn refusal_under(program: Program, line: &str) -> String {
    match parse(program, words(line)).expect_err(line) {
        Refusal::Clap(error) => error.to_string(),
        Refusal::Usage(error) => format!("{error} {}", error.hints().join(" ")),
    }
}

#[test]
fn clap_finds_no_fault() {
    for program in PROGRAMS {
        command(program).debug_assert();
    }
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
    // vmbuilder's is that of rvmb.
    for program in [Program::Rvmb, Program::UbuntuVmBuilder] {
        let mut command = command(program).term_width(100);
        command.build();
        check(&mut command, program.name());
    }
}

#[test]
fn verbs_are_those_of_the_command() {
    let hypervisors: Vec<&str> =
        crate::hypervisor::all().iter().map(|hypervisor| hypervisor.name()).collect();
    let command = command(Program::Rvmb);
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
            "vbox-disk-format" => ("vmdk", "--vbox-disk-format vmdk".to_owned()),
            "bootstrap" => ("auto", "--bootstrap auto".to_owned()),
            "pass-file" | "rootpass-file" => (file.as_str(), format!("--{} {file}", setting.name)),
            name => ("12", format!("--{name} 12")),
        };
        let hypervisors = crate::hypervisor::all().iter().map(|hypervisor| hypervisor.name());
        let pairs =
            hypervisors.flat_map(|name| target::DISTROS.iter().map(move |(distro, _)| (name, *distro)));
        let is_here = |pair: &(&str, &str)| setting.scope.has(Some(pair.0), Some(pair.1));
        let (here, elsewhere): (Vec<_>, Vec<_>) = pairs.partition(is_here);
        for (hypervisor, distro) in elsewhere {
            let told = refusal(&format!("{hypervisor} {distro} {option}"));
            assert!(
                told.contains(&format!("--{} is an option of {}", setting.name, setting.scope)),
                "{told}"
            );
        }
        let Some((hypervisor, distro)) = here.first() else { continue };
        let pair = format!("{hypervisor} {distro}");
        let mut expected = appliance(&pair);
        setting.set(&mut expected, value).unwrap();
        expected.origins.note_option(setting.name);
        assert_eq!(appliance(&format!("{pair} {option}")), expected, "{}", setting.name);
        assert_ne!(appliance(&pair), expected, "{}", setting.name);
    }
}

#[test]
fn what_excludes_each_other_does_so_in_a_file_and_on_the_command_line() {
    let command = target::option_command();
    let name = |argument: &clap::Arg| argument.get_long().unwrap_or_default().to_owned();
    let mut excluding: Vec<[String; 2]> = Vec::new();
    for argument in command.get_arguments() {
        for other in command.get_arg_conflicts_with(argument) {
            excluding.push([name(argument), name(other)]);
        }
    }
    for pair in &excluding {
        assert!(settings::exclude_each_other(&pair[0], &pair[1]), "{pair:?}");
    }
    for (one, other) in settings::EXCLUSIVE {
        let pair = [(*one).to_owned(), (*other).to_owned()];
        assert!(excluding.iter().any(|found| found == &pair || found.iter().rev().eq(&pair)), "{pair:?}");
    }
}

#[test]
fn vmbuilders_spelling_is_understood() {
    let line = "kvm ubuntu --suite jammy -a amd64 --kernel-flavour generic --components main,universe \
                --addpkg a --addpkg b,libc6:i386 --removepkg nano -m512 --cpus=2 -d web -o -t /var/tmp \
                --rootsize 4G --optsize 0 --lock-user --uid 1001 --dest other -o";
    let appliance = appliance(line);
    assert_eq!((appliance.hypervisor.as_str(), appliance.distro.as_str()), ("kvm", "ubuntu"));
    assert_eq!(appliance.suite.as_deref(), Some("jammy"));
    assert_eq!(appliance.architecture.as_deref(), Some("amd64"));
    assert_eq!(appliance.flavour.as_deref(), Some("generic"));
    assert_eq!(appliance.components, ["main", "universe"]);
    assert_eq!(appliance.add_packages, ["a", "b", "libc6:i386"]);
    assert_eq!(appliance.remove_packages, ["nano"]);
    assert_eq!(appliance.memory.as_deref(), Some("512"));
    assert_eq!(appliance.cpus.as_deref(), Some("2"));
    // --dest is the same option as -d, and the last one counts.
    assert_eq!(appliance.places.destination.as_deref(), Some("other".as_ref()));
    assert!(appliance.places.overwrite && appliance.users.lock);
    assert_eq!(appliance.sizes.root.as_deref(), Some("4G"));
    assert_eq!(appliance.sizes.opt.as_deref(), Some("0"));
    assert_eq!(appliance.users.uid.as_deref(), Some("1001"));
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
        "--over kvm debian --sui trixie --addp a,b",
        "--addp=a --sui trixie plan --over kvm --addpk=b debian",
        "--suite trixie kvm debian --addpkg a,b --over --lang '' -m '' --rootsize= --components ''",
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
        ("kvm fedora -o", "available: debian, ubuntu"),
        ("kvm debain -o", "available: debian, ubuntu"),
        (
            "kvm debian --install x",
            "Write more of one of --install-mirror, --install-recommends, --install-sec",
        ),
        ("--ec2-k x kvm debian", "--ec2-kernel, --ec2-key"),
        ("kvm debian --xen-kernel k --vbox-disk-f vdi", "there are 2 problems"),
        ("kvm debian --xen-kernel k", "--xen-kernel is an option of machines for xen"),
        ("kvm debian --ppa a/b", "--ppa is an option of machines of ubuntu"),
        ("config shwo", "show"),
        ("config show kmv debian", "Did you mean `kvm`"),
        ("kvm debian --adpkg x", "--addpkg"),
        ("kvm debian --bootstrap cdebootstrap", "debootstrap"),
        ("kvm debian --progress loud", "auto, plain, json, none"),
        ("kvm debian --size 4G --rootsize 2G", "cannot be used with"),
        ("kvm debian --pass a --pass-file b", "cannot be used with"),
        ("kvm debian -q -v", "cannot be used with"),
        ("kvm debian extra", "extra"),
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
    let invocation = parse(Program::Rvmb, words("kvm debian --pass hunter2 --rootpass hunter3")).unwrap();
    assert!(!format!("{invocation:?}").contains("hunter"));
    assert!(!format!("{:?}", appliance("kvm debian --pass hunter2 --rootpass hunter3")).contains("hunter"));
    assert!(!refusal("kvm debian --pass hunter2 --pass-file x").contains("hunter"));
}

#[test]
fn other_verbs_know_prefixes_too() {
    assert!(matches!(verb_of("suites --js"), Verb::Suites(args) if args.json));
    assert!(refusal("test x --t").contains("--t"));
}

#[test]
fn a_source_that_says_nothing_changes_nothing() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[DEFAULT]\nsuite = noble\nmem =\n").unwrap();
    let line = format!("kvm ubuntu -c {} --suite '' --lang ''", file.path().display());
    assert_eq!(appliance(&line).suite.as_deref(), Some("noble"));
    // An empty password would silently be the default one.
    assert_eq!(appliance("kvm debian --pass ''").users.password.as_deref(), Some(""));
}

#[test]
fn an_option_that_is_the_default_wins_over_the_configuration() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text =
        "[DEFAULT]\nuser = x\nmem = 64\nhostname = x\nrootsize = 9G\npart = layout\n[kvm/ubuntu]\ncpus = 7\n";
    std::fs::write(file.path(), text.replace("rootsize = 9G\n", "")).unwrap();
    let options = "--user ubuntu --hostname ubuntu --mem 1024 --cpus 1 --rootsize 4096";
    let appliance = appliance(&format!("kvm ubuntu -c {} {options}", file.path().display()));
    assert_eq!(appliance.users.name.as_deref(), Some("ubuntu"));
    assert_eq!(appliance.hostname.as_deref(), Some("ubuntu"));
    assert_eq!((appliance.memory.as_deref(), appliance.cpus.as_deref()), (Some("1024"), Some("1")));
    assert_eq!((appliance.sizes.root.as_deref(), appliance.disks.part), (Some("4096"), None));
}

#[test]
fn vmbuilder_is_another_name() {
    for line in ["kvm ubuntu --suite jammy -o", "-o kvm --suite jammy ubuntu"] {
        assert_eq!(appliance_under(Program::Vmbuilder, line), appliance("kvm ubuntu -o --suite jammy"));
    }
    let told = refusal_under(Program::Vmbuilder, "kvm ubuntu --nonsense");
    assert!(told.contains("Usage: vmbuilder kvm ubuntu"), "{told}");
    assert_eq!(
        refusal_under(Program::Vmbuilder, "--version").trim(),
        concat!("vmbuilder (rvmb) ", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn ubuntu_vm_builder_takes_a_release() {
    let program = Program::UbuntuVmBuilder;
    let expected = appliance("kvm ubuntu --suite jammy -o --addpkg a");
    for line in [
        "kvm jammy -o --addpkg a",
        "-o kvm --addpkg a jammy",
        "--addp a plan kvm jammy --over",
        "kvm lucid --suite jammy -o --addpkg a",
    ] {
        assert_eq!(appliance_under(program, line), expected, "{line}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[ubuntu]\nsuite = noble\n").unwrap();
    let line = format!("kvm jammy -c {}", file.path().display());
    assert_eq!(appliance_under(program, &line).suite.as_deref(), Some("jammy"));
    for (line, expected) in [
        ("kvm", "ubuntu-vm-builder kvm"),
        ("kvm --nonsense jammy", "ubuntu-vm-builder kvm"),
        ("", "Usage: ubuntu-vm-builder HYPERVISOR SUITE"),
        ("kmv jammy", "Did you mean `kvm`"),
        ("kvm jammy extra", "extra"),
    ] {
        let told = refusal_under(program, line);
        assert!(told.contains(expected), "{line}: {told}");
    }
}

#[test]
fn help_is_that_of_the_pair() {
    let newest = Registry::load().unwrap().default_suite("ubuntu").unwrap().codename.clone();
    let help = refusal("qemu ubuntu --help");
    for expected in [
        "default: ubuntu-qemu]",
        "[default: Ubuntu]",
        &format!("[default: {newest}]"),
        "--ppa",
        "--bridge",
        "--ec2",
    ] {
        assert!(help.contains(expected), "{expected}: {help}");
    }
    let help = refusal("kvm debian -h");
    for expected in ["--ppa", "--xen-kernel", "--vbox-disk-format", "--ec2-"] {
        assert!(!help.contains(expected), "{expected}: {help}");
    }
    let help = refusal_under(Program::UbuntuVmBuilder, "kvm jammy --help");
    assert!(help.contains("Usage: ubuntu-vm-builder kvm [OPTIONS] <SUITE>"), "{help}");
    assert!(help.contains("ubuntu-vm-builder plan kvm jammy --addpkg nginx"), "{help}");
}
