//! Whole configurations: which settings count, and what is told of wrong ones.

use super::*;
use crate::appliance::Appliance;

const KNOWN: Known<'_> =
    Known { hypervisors: &["kvm", "qemu", "xen", "vbox"], distros: &["debian", "ubuntu"] };

/// What files with these texts say, those that win last.
fn read(texts: &[&str]) -> Result<Configuration, Vec<Problem>> {
    let named = |(index, text): (usize, &&str)| (format!("{index}.cfg"), (*text).to_owned());
    let texts: Vec<(String, String)> = texts.iter().enumerate().map(named).collect();
    Configuration::of_texts(&texts, KNOWN)
}

fn chosen(texts: &[&str], hypervisor: &str, distro: &str) -> Appliance {
    let configuration = read(texts).unwrap();
    super::appliance(&configuration.choose(hypervisor, distro, &[])).unwrap()
}

fn problem(text: &str) -> Problem {
    let mut problems = read(&[text]).expect_err(text);
    assert_eq!(problems.len(), 1, "{text}: {problems:?}");
    problems.remove(0)
}

#[test]
fn sections_have_an_order_whatever_the_place() {
    let text = "[kvm/ubuntu]\nuser = pair\n[ubuntu]\nuser = distro\nsuite: jammy\n[kvm]\nsuite = bionic\n\
                MEM = 1024\n[DEFAULT]\nsuite = xenial\nlang = C\nmem = 1\n[qemu]\nlang = de_DE.UTF-8\n";
    let appliance = chosen(&[text], "kvm", "ubuntu");
    assert_eq!(appliance.users.name.as_deref(), Some("pair"));
    assert_eq!(appliance.suite.as_deref(), Some("jammy"));
    assert_eq!(appliance.memory.as_deref(), Some("1024"));
    assert_eq!(appliance.locale.as_deref(), Some("C"));
}

#[test]
fn of_one_section_the_later_one_counts_also_from_another_file() {
    let low = "[DEFAULT]\nsuite = a\nuser = ann\nmirror = http://m.example\n[kvm]\nmem = 1\nmem = 2\n";
    let high = "[DEFAULT]\nsuite = b\nmirror =\n[kvm]\nmem = 3\n";
    let appliance = chosen(&[low, high], "kvm", "ubuntu");
    assert_eq!((appliance.suite.as_deref(), appliance.users.name.as_deref()), (Some("b"), Some("ann")));
    // An empty value takes back what the same section of a weaker file said.
    assert_eq!((appliance.mirror, appliance.memory.as_deref()), (None, Some("3")));
}

#[test]
fn a_section_counts_more_than_a_file() {
    let appliance = chosen(&["[kvm]\nmem = 1\n", "[DEFAULT]\nmem = 2\n"], "kvm", "debian");
    assert_eq!(appliance.memory.as_deref(), Some("1"));
}

#[test]
fn an_empty_value_in_a_special_section_says_nothing() {
    let appliance = chosen(&["[DEFAULT]\nmem = 2\n[kvm]\nmem =\n"], "kvm", "debian");
    assert_eq!(appliance.memory.as_deref(), Some("2"));
}

#[test]
fn a_switch_can_be_turned_off_again() {
    let text = "[DEFAULT]\nlock-user = yes\n[kvm]\nlock_user = no\n";
    assert!(!chosen(&[text], "kvm", "debian").users.lock);
    assert!(chosen(&[text], "qemu", "debian").users.lock);
}

#[test]
fn of_two_settings_that_exclude_each_other_the_stronger_one_counts() {
    let texts = ["[DEFAULT]\nrootsize = 1G\nswapsize = 0\n", "[DEFAULT]\nsize = 8G\n"];
    let sizes = chosen(&texts, "kvm", "debian").sizes;
    assert_eq!((sizes.disk.as_deref(), sizes.root, sizes.swap.as_deref()), (Some("8G"), None, Some("0")));
    let text = "[DEFAULT]\npart = layout\n[kvm]\nrootsize = 2G\n";
    let appliance = chosen(&[text], "kvm", "debian");
    assert_eq!((appliance.disks.part, appliance.sizes.root.as_deref()), (None, Some("2G")));
    let configuration = read(&["[kvm]\npart = layout\nmem = 1\n"]).unwrap();
    let names: Vec<&str> = configuration
        .choose("kvm", "debian", &[("rootsize", "1G")])
        .iter()
        .map(|choice| choice.setting.name)
        .collect();
    assert_eq!(names, ["mem"]);
}

#[test]
fn an_option_leaves_no_room_for_what_contradicts_it() {
    let text = "[DEFAULT]\nuser = bob\naddpkg = vim\npass-file = /nowhere\nlibvirt = qemu:///system\nraw = /dev/x\n\
                network = default\nip = 192.0.2.7\nmask = 24\ngw = 192.0.2.1\ndns = 192.0.2.2\nmem = 1\n";
    let configuration = read(&[text]).unwrap();
    let left = |given: &[(&str, &str)], gone: &[&str]| {
        let choices = configuration.choose("kvm", "debian", given);
        let is_there = |name: &&&str| choices.iter().any(|choice| choice.setting.name == **name);
        assert_eq!(gone.iter().find(is_there), None, "{given:?}");
        assert_eq!(choices.len() + gone.len(), 11, "{given:?}");
    };
    left(&[], &[]);
    left(&[("existing-chroot", "/srv/tree")], &["user", "addpkg", "pass-file"]);
    left(&[("only-chroot", "yes")], &["libvirt", "raw"]);
    left(&[("bridge", "br0")], &["network"]);
    left(&[("ip", "dhcp")], &["ip", "mask", "gw"]);
    left(&[("ip", "192.0.2.8")], &["ip"]);
    let text = "[DEFAULT]\nonly-chroot = yes\nexisting-chroot =\n[kvm]\nraw = /dev/x\nexisting-chroot = /srv/tree\nuser = bob\n";
    let appliance = chosen(&[text], "kvm", "debian");
    assert!(!appliance.tree.only && appliance.disks.raw == [std::path::Path::new("/dev/x")]);
    assert_eq!(appliance.users.name, None);
}

#[test]
fn values_go_on_and_refer_to_others() {
    let text = "[DEFAULT]\n# what everybody needs\nhost = http://mirror.example\naddpkg = nginx,\n    libc6:i386\n\n    vim\n\
                proxy =\nssh_user_key: /home/bob/id.pub\n[ubuntu]\nmirror = %(HOST)s/ubuntu\nname = %(ssh-user-key)s 100%%\n";
    let appliance = chosen(&[text], "kvm", "ubuntu");
    assert_eq!(appliance.add_packages, ["nginx", "libc6:i386", "vim"]);
    assert_eq!(appliance.mirror.as_deref(), Some("http://mirror.example/ubuntu"));
    assert_eq!(appliance.users.full_name.as_deref(), Some("/home/bob/id.pub 100%"));
    assert_eq!(appliance.users.user_keys, Some("/home/bob/id.pub".into()));
}

#[test]
fn settings_of_other_machines_are_left_alone() {
    let text = "[xen]\nxen-kernel = /boot/vmlinuz\nmem = 64\n[DEFAULT]\nppa = a/b\nvbox-disk-format = vdi\n";
    assert_eq!(chosen(&[text], "kvm", "debian"), Appliance::default());
    assert_eq!(chosen(&[text], "kvm", "ubuntu").ppas, ["a/b"]);
    assert_eq!(chosen(&[text], "vbox", "debian").special.vbox_disk_format.as_deref(), Some("vdi"));
}

#[test]
fn each_problem_has_its_place() {
    let table = [
        ("[kvm]\nadpkg = x\n", 2, 1, 5, "there is no setting `adpkg`", "Did you mean `addpkg`?"),
        ("[kvn]\n", 1, 2, 3, "there is no section `kvn`", "Did you mean `kvm`"),
        ("[ kvm ]\n", 1, 2, 5, "there is no section ` kvm `", "Did you mean `kvm`"),
        ("[kvm/debain]\nmem = 1\n", 1, 2, 10, "there is no section", "Did you mean `kvm/debian`"),
        ("[kvm]\nmem =  12X\n", 2, 8, 3, "`X` is not a unit", ""),
        ("[qemu]\ncpus = many\n", 2, 8, 4, "`many` is not a whole number", ""),
        ("[kvm]\nbootstrap = yum\n", 2, 13, 3, "`yum` is none of auto", ""),
        ("[vbox]\nvbox-disk-format = qcow2\n", 2, 20, 5, "none of vdi, vmdk", ""),
        ("[kvm]\nverbose = yes\n", 2, 1, 7, "only be given on the command line", ""),
        ("[debian]\nppa = a/b\n", 2, 1, 3, "`ppa` is a setting of machines of ubuntu", "[DEFAULT]"),
        ("[kvm]\nxen-kernel = k\n", 2, 1, 10, "machines for xen", "[DEFAULT]"),
        ("[kvm]\nlang = 100% C\n", 2, 11, 1, "stands for nothing", "%%"),
        ("[kvm]\nlang = %(lan)s\n", 2, 8, 7, "there is no `lan` in [kvm] or in [DEFAULT]", "`lang`"),
        ("[kvm]\nlang = %(lang)s\n", 2, 8, 8, "or to itself", "Write one"),
        ("[kvm]\nlang = %(lang)\n", 2, 8, 7, "does not end", "%(name)s"),
        ("[kvm]\nsize = 1G\nrootsize = 1G\n", 3, 1, 8, "cannot be used with `size` of line 2", "Leave"),
        ("[kvm]\nrootpass =\n", 2, 1, 8, "`rootpass` is empty", "--lock-user"),
    ];
    for (text, line, column, length, message, help) in table {
        let problem = problem(text);
        assert_eq!((problem.line, problem.column, problem.length), (line, column, length), "{text}");
        assert!(problem.message.contains(message), "{problem}");
        assert!(problem.help.unwrap_or_default().contains(help), "{text}");
    }
}

#[test]
fn a_line_that_cannot_be_read_hides_no_other() {
    let text = "[kvn]\nfoo\nadpkg = x\n[kvm]\nlock-user = maybe\nmem = 1X\n[debian\nxen-kernel = k\nfoo\n[debian]\nbar\n";
    let problems = read(&[text]).unwrap_err();
    let lines: Vec<usize> = problems.iter().map(|problem| problem.line).collect();
    // What stands below a header that cannot be read may be meant for any machine.
    assert_eq!(lines, [1, 2, 3, 5, 6, 7, 9, 11], "{problems:?}");
}

#[test]
fn a_password_is_not_shown() {
    for text in [
        "[kvm]\npas = hunter2\n",
        "[kvm]\npass = hunter2%x\n",
        "[kvm]\npass = %(word)s\nword = hunter2%x\n",
        "[kvm]\npass = hunter2 %(nothing)s\n",
    ] {
        let error = read(&[text]).expect_err(text);
        assert!(!format!("{error:?}").contains("hunter"), "{text}: {error:?}");
    }
}

#[test]
fn all_problems_of_all_files_come_at_once() {
    let problems = read(&["[DEFAULT]\nsuit = jammy\n", "broken\n"]).unwrap_err();
    let told: Vec<String> = problems.iter().map(Problem::to_string).collect();
    assert_eq!(told, ["0.cfg:2:1: there is no setting `suit`", "1.cfg:1:1: the line is no setting"]);

    let room = tempfile::tempdir().unwrap();
    let wrong = room.path().join("wrong.cfg");
    std::fs::write(&wrong, "[DEFAULT]\nnmae = J\u{f6}rg\n").unwrap();
    std::fs::write(room.path().join("latin1.cfg"), b"[DEFAULT]\nname = J\xf6rg\n").unwrap();
    let files = [room.path().join("latin1.cfg"), wrong, room.path().to_owned()];
    let error = Configuration::read(&files, Some(Path::new("/nonexistent.cfg")), KNOWN).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Config);
    let told = error.to_string();
    for part in [
        "the configuration is wrong in 2 places",
        "latin1.cfg:2:1: the line is not UTF-8",
        "wrong.cfg:2:1: there is no setting `nmae`",
        "reading --config /nonexistent.cfg",
        &format!("{} is not a file", room.path().display()),
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn the_usual_files_have_an_order() {
    let files = usual_files(Some(Path::new("/home/bob")), None);
    let expected = [
        "/etc/vmbuilder.cfg",
        "/home/bob/.vmbuilder.cfg",
        "/etc/rvmb/rvmb.cfg",
        "/home/bob/.config/rvmb/rvmb.cfg",
    ];
    assert_eq!(files, expected.map(PathBuf::from));
    let files = usual_files(Some(Path::new("/home/bob")), Some(Path::new("/home/bob/.cfg")));
    assert_eq!(files.last(), Some(&PathBuf::from("/home/bob/.cfg/rvmb/rvmb.cfg")));
    assert_eq!(usual_files(None, None).len(), 2);
}

/// The texts that fuzzing starts from are ones that configurations are made of: most are good.
#[test]
fn the_corpus_of_the_fuzzer_is_read() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/config");
    let mut good = 0;
    for file in std::fs::read_dir(&corpus).unwrap() {
        let path = file.unwrap().path();
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        let Ok(configuration) = read(&[&text]) else { continue };
        configuration.choose("kvm", "ubuntu", &[]);
        good += 1;
    }
    assert!(good >= 6, "{good} of {} are good", corpus.display());
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "[\\[\\]a-zé=:#;%() \t\r\n]{0,60}") {
        if let Ok(configuration) = read(&[&text]) {
            configuration.choose("kvm", "debian", &[]);
        }
    }
}
