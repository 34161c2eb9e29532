//! Launchpad, its key server and the archive of one owner, on loopback: what `--ppa` asks, in the variables of
//! the environment that rvmb reads instead of the real addresses.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::archive::seen_by_guest;
use super::indices::{hex, write};
use super::process::{program, run};
use super::signer::Signer;

/// The one archive that there is, as `--ppa` names it.
pub(crate) const PPA: &str = "bob/tools";

/// The release that it has packages for.
const SUITE: &str = "jammy";

/// Where packages are in the archive.
const POOL: &str = "pool/main";

/// Launchpad, until this is dropped.
pub(crate) struct Launchpad {
    /// What is served, by the path in the address.
    directory: TempDir,
    address: String,
    signer: Signer,
}

impl Launchpad {
    /// Starts it with an archive that has the packages of this index.
    pub(crate) fn start(packages: &str) -> Launchpad {
        let directory = tempfile::Builder::new().prefix("rvmb-launchpad-").tempdir().expect("a directory");
        let signer = Signer::new(&directory.path().join("gnupg"), "Launchpad PPA for Bob");
        let listener = TcpListener::bind("127.0.0.1:0").expect("listening");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let served = directory.path().join("served");
        let launchpad = Launchpad { directory, address, signer };
        let fingerprint = launchpad.signer.fingerprint();
        let (owner, name) = PPA.split_once('/').expect("owner and name");
        let answer = format!(r#"{{"name": "{name}", "signing_key_fingerprint": "{fingerprint}"}}"#);
        write(&served.join(format!("api/devel/~{owner}/+archive/ubuntu/{name}")), answer);
        write(&served.join("keys/pks/lookup"), launchpad.signer.key(true));
        launchpad.publish(packages);
        // The thread ends with the tests.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is no failure.
                let _ = answer_one(stream, &served);
            }
        });
        launchpad
    }

    /// The same with an archive that has real packages of these names, with nothing in them.
    pub(crate) fn with_packages(names: &[&str]) -> Launchpad {
        let launchpad = Launchpad::start("");
        let index: String = names.iter().map(|name| launchpad.add(name)).collect();
        launchpad.publish(&index);
        launchpad
    }

    /// Makes a package, and returns its place in the index.
    fn add(&self, name: &str) -> String {
        let room = self.directory.path().join(name);
        let control = format!(
            "Package: {name}\nVersion: 1.0\nArchitecture: all\nSection: misc\nPriority: optional\n\
             Maintainer: rvmb tests <root@localhost>\nDescription: is in a PPA\n"
        );
        write(&room.join("DEBIAN/control"), &control);
        let file = self.package(name);
        std::fs::create_dir_all(file.parent().expect("a directory")).expect("making the pool");
        run(program("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&room).arg(&file)).well();
        let content = std::fs::read(&file).expect("reading the package");
        let (size, digest) = (content.len(), hex(&content));
        format!("{control}Filename: {POOL}/{name}.deb\nSize: {size}\nSHA256: {digest}\n\n")
    }

    /// Takes a package off the server and puts it into an archive as debootstrap's `--make-tarball` makes one.
    pub(crate) fn move_to_tarball(&self, name: &str, tarball: &Path) {
        let package = self.package(name);
        let (pool, file) = (package.parent().expect("a directory"), package.file_name().expect("a name"));
        let mut tar = program("tar");
        tar.args([
            "--create",
            "--gzip",
            "--remove-files",
            "--transform",
            "s,^,var/cache/apt/archives/,",
            "--file",
        ]);
        run(tar.arg(tarball).arg("--directory").arg(pool).arg(file)).well();
        assert!(!package.exists(), "still on the server");
    }

    fn package(&self, name: &str) -> PathBuf {
        self.archive().join(POOL).join(format!("{name}.deb"))
    }

    /// The variables that make rvmb ask it.
    pub(crate) fn environment(&self) -> [(&'static str, String); 3] {
        let at = |place: &str| format!("{}/{place}", self.address);
        [
            ("RVMB_LAUNCHPAD_API", at("api")),
            ("RVMB_KEYSERVER", at("keys")),
            ("RVMB_PPA_ARCHIVE", at("archive")),
        ]
    }

    /// Where it answers: `http://127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Where a guest finds the archive.
    pub(crate) fn address_in_guest(&self) -> String {
        format!("{}/archive/{PPA}/ubuntu", seen_by_guest(&self.address))
    }

    /// SHA-256 of the archive's key, as apt takes it.
    pub(crate) fn digest_of_key(&self) -> String {
        hex(self.signer.key(false))
    }

    /// What the archive's key is known by.
    pub(crate) fn fingerprint(&self) -> &str {
        self.signer.fingerprint()
    }

    fn archive(&self) -> PathBuf {
        self.directory.path().join("served/archive").join(PPA).join("ubuntu")
    }

    /// Writes and signs the index.
    fn publish(&self, packages: &str) {
        let top = self.archive().join("dists").join(SUITE);
        let path = "main/binary-amd64/Packages";
        write(&top.join(path), packages);
        let release = format!(
            "Origin: LP-PPA-bob-tools\nSuite: {SUITE}\nCodename: {SUITE}\nDate: Sat, 06 Sep 2025 09:30:00 UTC\n\
             Architectures: amd64\nComponents: main\nSHA256:\n {} {} {path}\n",
            hex(packages),
            packages.len()
        );
        write(&top.join("InRelease"), self.signer.sign(&release));
    }
}

/// Answers one request with a file of `directory`, as HTTP/1.1 has it (RFC 9112).
fn answer_one(mut stream: TcpStream, directory: &Path) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = first.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default();
    // apt encodes more than it has to (RFC 3986 section 2.3), which means the same.
    let path = path.replace("%7e", "~").replace("%7E", "~").replace("%2b", "+").replace("%2B", "+");
    let file = std::fs::read(directory.join(path.trim_start_matches('/')));
    let status = if file.is_ok() { "200 OK" } else { "404 Not Found" };
    let body = file.unwrap_or_default();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    stream.write_all(&body)
}
