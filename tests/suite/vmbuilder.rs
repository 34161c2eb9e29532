//! What vmbuilder did wrong, and rvmb must not: a test for each known fault that a plan, or the files that follow
//! from it, can show. docs/vmbuilder.md lists them all, with the tests that boot a machine for it.

use std::collections::BTreeSet;
use std::path::Path;

use rvmb::hypervisor::{self, LaunchFile};
use rvmb::plan::Plan;
use rvmb::suite::Registry;
use rvmb::units::MIB;
use serde_json::{Value, json};

use crate::common::desk::Desk;

/// Exit code in docs/exit-codes.md.
const CONFIG: i32 = 3;

/// Where nobody answers: whoever gets there has found no mistake.
const NOWHERE: [&str; 2] =
    ["--mirror=http://127.0.0.1:9/debian", "--security-mirror=http://127.0.0.1:9/debian"];

/// Where the partitions of all disks are mounted.
fn mounts(plan: &Value) -> BTreeSet<&str> {
    let disks = plan["disks"].as_array().into_iter().flatten();
    disks
        .flat_map(|disk| disk["partitions"].as_array().into_iter().flatten())
        .filter_map(|partition| partition["mount"].as_str())
        .collect()
}

/// What would be left beside the image.
fn launch_files(plan: &Value) -> Vec<LaunchFile> {
    let plan: Plan = serde_json::from_value(plan.clone()).expect("a plan");
    hypervisor::launch_files(&plan).expect("launch files")
}

#[test]
fn an_option_wins_over_the_configuration_though_it_says_the_default() {
    let Some(desk) = Desk::new("options that say the default") else { return };
    let default = desk.planned(&["kvm", "ubuntu"]);
    let codename = default["suite"]["codename"].as_str().expect("a codename");
    desk.configure("[DEFAULT]\nsuite = jammy\nuser = x\nmem = 2048\ntimezone = Europe/Paris\n");
    let configured = desk.planned(&["kvm", "ubuntu"]);
    assert_eq!(
        (&configured["suite"]["codename"], &configured["guest"]["user"]["name"]),
        (&json!("jammy"), &json!("x"))
    );
    let options = ["--suite", codename, "--user", "ubuntu", "--mem", "1024", "--timezone", "UTC"];
    let plan = desk.planned(&[&["kvm", "ubuntu"], &options[..]].concat());
    for part in ["/suite/codename", "/guest/user/name", "/guest/timezone", "/target/memory"] {
        assert_eq!(plan.pointer(part), default.pointer(part), "{part}");
    }
}

#[test]
fn an_option_before_the_positionals_counts() {
    let Some(desk) = Desk::new("options before the positionals") else { return };
    let plan = desk.planned(&["-d", "web", "--addpkg", "nginx", "kvm", "ubuntu"]);
    assert_eq!(plan["output"]["directory"], json!(desk.work().join("web")));
    assert_eq!(plan["packages"]["added"], json!(["nginx"]));
}

#[test]
fn every_value_of_a_repeated_list_is_split() {
    let Some(desk) = Desk::new("repeated lists") else { return };
    let plan = desk.planned(&["kvm", "ubuntu", "--addpkg", "vim", "--addpkg", "nginx,git", "--addpkg=curl"]);
    assert_eq!(plan["packages"]["added"], json!(["curl", "git", "nginx", "vim"]));
}

#[test]
fn a_package_with_its_architecture_is_one_package() {
    let Some(desk) = Desk::new("packages with an architecture") else { return };
    let plan = desk.planned(&["kvm", "debian", "--addpkg", "curl:amd64,git=1.0-1"]);
    assert_eq!(plan["packages"]["added"], json!(["curl:amd64", "git=1.0-1"]));
}

/// vmbuilder looked at addresses, partition files and lists of files when the whole system was installed.
#[test]
fn every_mistake_is_told_at_once_and_before_the_archive_is_asked() {
    let desk = Desk::anyway();
    let mistakes = [
        ("--ip", "nonsense"),
        ("--mac", "nonsense"),
        ("--part", "nowhere"),
        ("--copy", "nowhere"),
        ("--exec", "nowhere"),
        ("--libvirt", "nonsense"),
        ("--firstboot", "nowhere"),
        ("--iso", "nowhere"),
        ("--timezone", "nowhere"),
    ];
    let mut words = vec!["kvm", "debian", "--cache-dir", "cache"];
    words.extend(NOWHERE);
    words.extend(mistakes.iter().flat_map(|(option, value)| [*option, *value]));
    let answer = desk.run("rvmb", &words).with_code(CONFIG);
    for (option, _) in mistakes {
        // The zone is told by its value.
        let word = if option == "--timezone" { "time zone" } else { option };
        assert!(answer.stderr.contains(word), "nothing of {option}:\n{answer}");
    }
}

#[test]
fn what_would_be_replaced_stays_until_all_is_right() {
    let desk = Desk::anyway();
    let destination = desk.work().join("web");
    std::fs::create_dir(&destination).expect("making the destination");
    desk.write("web/manifest.json", "{\"generator\": \"rvmb 0.1.0\"}");
    let words = ["kvm", "debian", "-o", "-d", "web", "--cache-dir", "cache", "--suite", "nonsense"];
    desk.run("rvmb", &[&words, &NOWHERE[..]].concat()).with_code(CONFIG);
    assert!(destination.join("manifest.json").exists());
    // Nor does a plan take it away.
    if let Some(desk) = Desk::new("a destination that stays") {
        std::fs::create_dir(desk.work().join("web")).expect("making the destination");
        desk.write("web/manifest.json", "{\"generator\": \"rvmb 0.1.0\"}");
        desk.planned(&["kvm", "debian", "-o", "-d", "web"]);
        assert!(desk.work().join("web/manifest.json").exists());
    }
}

#[test]
fn the_gateway_is_the_first_address_of_the_network() {
    let Some(desk) = Desk::new("the gateway") else { return };
    let plan = desk.planned(&["kvm", "ubuntu", "--ip", "192.168.5.10"]);
    let network = &plan["guest"]["network"];
    assert_eq!(network["addressing"]["gateways"][0]["address"], json!("192.168.5.1"), "{network}");
    assert_eq!(network["name_servers"], json!(["192.168.5.1"]), "{network}");
}

#[test]
fn a_network_of_class_b_starts_at_128() {
    let Some(desk) = Desk::new("classes of addresses") else { return };
    for (address, prefix, gateway) in
        [("128.10.5.5", 16, "128.10.0.1"), ("10.1.2.3", 8, "10.0.0.1"), ("192.0.2.7", 24, "192.0.2.1")]
    {
        let plan = desk.planned(&["kvm", "ubuntu", "--ip", address]);
        let addressing = &plan["guest"]["network"]["addressing"];
        assert_eq!(addressing["addresses"][0]["prefix"], json!(prefix), "{addressing}");
        assert_eq!(addressing["gateways"][0]["address"], json!(gateway), "{addressing}");
    }
}

#[test]
fn a_first_login_script_needs_no_first_boot_script() {
    let Some(desk) = Desk::new("first login") else { return };
    let plan = desk.planned(&["kvm", "debian", "--firstlogin", "welcome.sh"]);
    assert_eq!(plan["guest"]["firstlogin"]["path"], json!("welcome.sh"));
    assert_eq!(plan["guest"]["firstboot"], Value::Null);
}

#[test]
fn a_key_brings_the_server_that_takes_it() {
    let Some(desk) = Desk::new("keys") else { return };
    for option in [["--ssh-key", "root.pub"], ["--ssh-user-key", "id.pub"]] {
        for distro in ["debian", "ubuntu"] {
            let plan = desk.planned(&[&["kvm", distro], &option[..]].concat());
            assert_eq!(plan["packages"]["added"], json!(["openssh-server"]));
            let resolved = plan["packages"]["resolved"].as_array().expect("packages");
            assert!(resolved.iter().any(|package| package["name"] == "openssh-server"));
        }
    }
}

#[test]
fn qemu_starts_by_its_own_script() {
    let Some(desk) = Desk::new("the script for qemu") else { return };
    let plan = desk.planned(&["qemu", "debian"]);
    let script = launch_files(&plan).into_iter().find(|file| file.name == "run.sh").expect("run.sh").content;
    assert!(script.contains("qemu-system-"), "{script}");
    assert!(!script.contains("exec kvm") && !script.contains("/dev/kvm"), "{script}");
}

/// vmbuilder made a disk of so many MiB and partitions of so many MB, so that a twentieth of it lay waste.
#[test]
fn sizes_of_partitions_and_of_the_disk_are_in_one_unit() {
    let Some(desk) = Desk::new("sizes") else { return };
    let words = ["kvm", "debian", "--rootsize", "2000", "--swapsize", "300", "--optsize", "500"];
    let disk = &desk.planned(&words)["disks"][0];
    let partitions = disk["partitions"].as_array().expect("partitions");
    let number = |value: &Value| value.as_u64().expect("a number of bytes");
    for (place, mib) in [("/", 2000), ("/opt", 500)] {
        let partition = partitions.iter().find(|partition| partition["mount"] == place).expect(place);
        assert_eq!(number(&partition["size"]), mib * MIB, "{place}");
    }
    let used: u64 = partitions.iter().map(|partition| number(&partition["size"])).sum();
    // The partition tables take a MiB at either end.
    assert!(number(&disk["size"]) - used <= 2 * MIB, "{used} bytes are used of {disk}");
    assert!(partitions.iter().all(|partition| number(&partition["start"]).is_multiple_of(MIB)), "{disk}");
}

#[test]
fn nothing_beside_an_image_has_a_path_of_this_host() {
    let Some(desk) = Desk::new("paths in launch files") else { return };
    let here = desk.room().display().to_string();
    for hypervisor in hypervisor::all() {
        let plan = desk.planned(&[hypervisor.name(), "debian", "--suite", "bookworm"]);
        // libvirt takes absolute paths only.
        for file in launch_files(&plan).into_iter().filter(|file| !file.name.ends_with(".xml")) {
            assert!(!file.content.contains(&here), "{} of {}", file.name, hypervisor.name());
        }
    }
}

#[test]
fn an_image_is_named_after_its_machine() {
    let Some(desk) = Desk::new("names of images") else { return };
    for hypervisor in hypervisor::all() {
        let plan = desk.planned(&[hypervisor.name(), "debian", "--suite", "bookworm", "--hostname", "db7"]);
        let image = plan["disks"][0]["image"].as_str().expect("an image");
        assert!(image.starts_with("db7-"), "{image} of {}", hypervisor.name());
    }
}

#[test]
fn a_group_id_is_the_one_that_was_asked_for() {
    let Some(desk) = Desk::new("group ids") else { return };
    let plan = desk.planned(&["kvm", "debian", "--uid", "1500", "--gid", "1600"]);
    assert_eq!((&plan["guest"]["user"]["uid"], &plan["guest"]["user"]["gid"]), (&json!(1500), &json!(1600)));
}

#[test]
fn a_flavour_and_an_iso_that_there_are_not_are_refused() {
    let desk = Desk::anyway();
    for (words, says) in [(["--flavour", "vritual"], "virtual"), (["--iso", "nowhere.iso"], "--iso")] {
        let words =
            [&["kvm", "ubuntu", "--suite", "jammy", "--cache-dir", "cache"], &words[..], &NOWHERE].concat();
        let answer = desk.run("rvmb", &words).with_code(CONFIG);
        assert!(answer.stderr.contains(says), "{answer}");
    }
}

#[test]
fn a_configuration_file_sets_the_disks_and_the_places() {
    let Some(desk) = Desk::new("disks of the configuration") else { return };
    desk.configure("[kvm]\nrootsize = 3G\nswapsize = 0\noptsize = 256M\ndest = elsewhere\n");
    let plan = desk.planned(&["kvm", "debian"]);
    assert_eq!(mounts(&plan), BTreeSet::from(["/", "/boot/efi", "/opt"]));
    assert_eq!(plan["output"]["directory"], json!(desk.work().join("elsewhere")));
    desk.configure("[kvm]\npart = layout.part\n");
    let plan = desk.planned(&["kvm", "debian"]);
    assert!(mounts(&plan).contains("/var"));
}

/// vmbuilder knew its releases by heart, and died with them.
#[test]
fn every_release_of_today_can_be_planned() {
    let Some(desk) = Desk::new("every release") else { return };
    for suite in Registry::built_in().expect("the suite files").all() {
        let plan = desk.planned(&["kvm", &suite.distro, "--suite", &suite.codename]);
        assert_eq!(plan["suite"]["codename"], json!(suite.codename));
    }
}

#[test]
fn a_wrong_destination_is_never_taken() {
    let desk = Desk::anyway();
    let kept = desk.work().join("motd");
    for destination in [".", "..", "/", "motd", "../work"] {
        let words = ["kvm", "debian", "-o", "-d", destination, "--cache-dir", "../cache"];
        let answer = desk.run("rvmb", &[&words, &NOWHERE[..]].concat()).with_code(CONFIG);
        assert!(answer.stderr.contains("destination"), "{destination}: {answer}");
        assert!(kept.exists(), "{destination}");
    }
    assert!(!Path::new(&desk.room()).join("cache/archives").exists(), "the archive was asked");
}
