//! The suite files that come with the program: to add a release is to add a file, and its line here.

/// Path below `suites/`, and content.
pub(super) const FILES: &[(&str, &str)] = &[
    ("debian/bullseye.toml", include_str!("../../suites/debian/bullseye.toml")),
    ("debian/bookworm.toml", include_str!("../../suites/debian/bookworm.toml")),
    ("debian/trixie.toml", include_str!("../../suites/debian/trixie.toml")),
    ("debian/forky.toml", include_str!("../../suites/debian/forky.toml")),
    ("debian/sid.toml", include_str!("../../suites/debian/sid.toml")),
    ("ubuntu/xenial.toml", include_str!("../../suites/ubuntu/xenial.toml")),
    ("ubuntu/bionic.toml", include_str!("../../suites/ubuntu/bionic.toml")),
    ("ubuntu/focal.toml", include_str!("../../suites/ubuntu/focal.toml")),
    ("ubuntu/jammy.toml", include_str!("../../suites/ubuntu/jammy.toml")),
    ("ubuntu/noble.toml", include_str!("../../suites/ubuntu/noble.toml")),
    ("ubuntu/questing.toml", include_str!("../../suites/ubuntu/questing.toml")),
    ("ubuntu/resolute.toml", include_str!("../../suites/ubuntu/resolute.toml")),
    ("ubuntu/stonking.toml", include_str!("../../suites/ubuntu/stonking.toml")),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn no_file_is_forgotten() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("suites");
        let mut on_disk = BTreeSet::new();
        for distro in std::fs::read_dir(&root).unwrap() {
            let distro = distro.unwrap();
            for file in std::fs::read_dir(distro.path()).unwrap() {
                let file = file.unwrap().file_name().into_string().unwrap();
                on_disk.insert(format!("{}/{file}", distro.file_name().to_str().unwrap()));
            }
        }
        let built_in: BTreeSet<String> = FILES.iter().map(|(path, _)| (*path).to_string()).collect();
        assert_eq!(built_in, on_disk);
    }
}
