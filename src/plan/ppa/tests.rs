//! A server on loopback plays Launchpad, key server and archive; key and archive are made on the spot.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::*;
use crate::digest;
use crate::event::Silent;
use crate::host::access::Access;
use crate::host::run::Runner;
use crate::plan::archive::{Index, IndexRequest};
use crate::testing::{self, Gpg};

/// What the server has, by path, and what it was asked for.
#[derive(Clone, Default)]
struct Server {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    asked: Arc<Mutex<Vec<String>>>,
    address: String,
}

impl Server {
    fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Server { address, ..Server::default() };
        let own = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is no failure.
                let _ = own.answer(stream);
            }
        });
        server
    }

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        // apt encodes more than it has to (RFC 3986 section 2.3), which means the same.
        let path = first.split(' ').nth(1).unwrap_or_default().to_lowercase();
        let path = path.replace("%7e", "~").replace("%2b", "+");
        let file = self.files.lock().unwrap().get(&path).cloned();
        self.asked.lock().unwrap().push(path);
        let (status, body) = match file {
            Some(body) if body.starts_with(b"Location: ") => {
                let head = String::from_utf8_lossy(&body).into_owned();
                return write!(
                    stream,
                    "HTTP/1.1 302 Found\r\n{head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
            }
            Some(body) => ("200 OK", body),
            None => ("404 Not Found", Vec::new()),
        };
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
        stream.write_all(&body)
    }

    fn put(&self, path: &str, content: impl Into<Vec<u8>>) {
        self.files.lock().unwrap().insert(path.to_lowercase(), content.into());
    }

    fn servers(&self) -> Servers {
        let at = |place: &str| format!("{}/{place}", self.address);
        Servers { api: at("api"), keys: at("keys"), archive: at("archive") }
    }

    /// The PPA `bob/tools`, signed with the key, whose archive has jammy.
    fn with_ppa(key: &Gpg) -> Server {
        let server = Server::start();
        let fingerprint = &key.fingerprint;
        let answer = format!(r#"{{"name": "tools", "signing_key_fingerprint": "{fingerprint}"}}"#);
        server.put(API, answer);
        server.put(&server.key_path(fingerprint), key.export(true));
        let packages = "Package: tool\nVersion: 1\nArchitecture: amd64\nFilename: pool/tool.deb\nSize: 1\n\
                        SHA256: 0000000000000000000000000000000000000000000000000000000000000000\n\n";
        let digest = digest::sha256(packages);
        let release = format!(
            "Origin: LP-PPA-bob-tools\nSuite: jammy\nCodename: jammy\nDate: Sat, 06 Sep 2025 09:30:00 UTC\n\
             Architectures: amd64\nComponents: main\nSHA256:\n {digest} {} main/binary-amd64/Packages\n",
            packages.len()
        );
        let dists = "/archive/bob/tools/ubuntu/dists/jammy";
        server.put(&format!("{dists}/InRelease"), key.sign(&release));
        server.put(&format!("{dists}/main/binary-amd64/Packages"), packages);
        server
    }

    fn key_path(&self, fingerprint: &str) -> String {
        format!("/keys/pks/lookup?op=get&options=mr&search=0x{fingerprint}")
    }

    fn asked_for_keys(&self) -> usize {
        self.asked.lock().unwrap().iter().filter(|path| path.starts_with("/keys/")).count()
    }
}

const API: &str = "/api/devel/~bob/+archive/ubuntu/tools";

fn runner() -> Runner {
    Runner::new(Arc::new(Silent))
}

fn bob() -> Name {
    parse("bob/tools").unwrap()
}

fn source_of(server: &Server, codename: &str, keys: &Path) -> Result<Source> {
    let scratch = tempfile::tempdir().unwrap();
    let fetcher = Fetcher { runner: &runner(), access: &Access::default(), scratch: scratch.path() };
    let source = source(fetcher, &server.servers(), &bob(), codename, keys);
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    source
}

fn index(source: &Source, room: &Path, keyring: &Path) -> Result<Index> {
    let sources = [source.clone()];
    let request = IndexRequest {
        directory: &room.join("indices"),
        archives: &room.join("archives"),
        sources: &sources,
        components: &["universe".to_owned()],
        keyring,
        architecture: "amd64",
        access: &Access::default(),
        may_be_expired: false,
        may_rest_on_sha1: false,
    };
    Index::refresh(&runner(), &request).map_err(|error| explain(error, &sources))
}

#[test]
fn the_archive_is_read_with_its_own_key_alone() {
    if !testing::has("gpg") || !testing::has("apt-get") {
        return;
    }
    let (key, other) = (Gpg::with_key("bob"), Gpg::with_key("mallory"));
    let server = Server::with_ppa(&key);
    let room = tempfile::tempdir().unwrap();
    let keys = room.path().join("keys");
    let source = source_of(&server, "jammy", &keys).unwrap();
    let ppa = source.ppa.clone().unwrap();
    assert_eq!((&ppa.fingerprint, &source.suite), (&key.fingerprint, &"jammy".to_owned()));
    assert_eq!(source.address_for_guest(), "https://ppa.launchpadcontent.net/bob/tools/ubuntu");
    assert_eq!(std::fs::read(&ppa.keyring).unwrap(), key.export(false));
    // The archive's keyring has nothing to do with it.
    let nothing = room.path().join("nothing.gpg");
    std::fs::write(&nothing, "").unwrap();
    let found = index(&source, room.path(), &nothing).unwrap();
    let lists: Vec<String> =
        found.packages_files().unwrap().iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    assert!(lists.iter().any(|text| text.starts_with("Package: tool\n")), "{lists:?}");

    // The key is asked for once, and again where the kept one is another.
    source_of(&server, "jammy", &keys).unwrap();
    assert_eq!(server.asked_for_keys(), 1);
    std::fs::write(&ppa.keyring, other.export(false)).unwrap();
    source_of(&server, "jammy", &keys).unwrap();
    assert_eq!((server.asked_for_keys(), std::fs::read(&ppa.keyring).unwrap()), (2, key.export(false)));

    // Another signature than that of the key is no use.
    let release = "/archive/bob/tools/ubuntu/dists/jammy/InRelease";
    server.put(release, other.sign("Suite: jammy\nCodename: jammy\nDate: Sat, 06 Sep 2025 09:30:00 UTC\n"));
    let refused = index(&source, &room.path().join("again"), &nothing).err().unwrap();
    assert!(
        refused.tail_lines().iter().any(|line| line.contains("NO_PUBKEY")
            || line.contains("not signed")
            || line.contains("Missing key")),
        "{refused:?}"
    );

    let other_suite = Source { suite: "noble".into(), ..source };
    let error = index(&other_suite, room.path(), &nothing).err().unwrap();
    assert_eq!((error.kind(), error.message()), (Kind::Config, "the PPA bob/tools has nothing for noble"));
}

#[test]
fn what_the_servers_say_is_checked() {
    if !testing::has("gpg") || !testing::has("apt-get") {
        return;
    }
    let (key, other) = (Gpg::with_key("bob"), Gpg::with_key("mallory"));
    let path_of_key = Server::default().key_path(&key.fingerprint);
    let answer = |text: &str| (API, text.as_bytes().to_vec());
    let key_is = |content: Vec<u8>| (path_of_key.as_str(), content);
    let large = vec![b'x'; 3 << 20];
    let redirection = b"Location: http://127.0.0.1:9/key".to_vec();
    let both = [other.export(true), b"\n".to_vec(), key.export(true)].concat();
    let cases = [
        (answer("<html>"), "no JSON"),
        (answer("{}"), "no key yet"),
        (answer(r#"{"signing_key_fingerprint": "DEADBEEF"}"#), "`DEADBEEF` is no fingerprint"),
        (answer("Location: http://127.0.0.1:9/"), "asking Launchpad"),
        (key_is(other.export(true)), "something else than the key"),
        // Only the first block of an answer is read: what is not the key is not trusted.
        (key_is(both), "something else than the key"),
        (key_is(b"not a key".to_vec()), "something else than the key"),
        (key_is(large), "fetching the key"),
        (key_is(redirection), "fetching the key"),
    ];
    for ((path, content), says) in cases {
        let server = Server::with_ppa(&key);
        server.put(path, content);
        let room = tempfile::tempdir().unwrap();
        let error = source_of(&server, "jammy", room.path()).unwrap_err();
        assert!(error.to_string().contains(says), "{says} in {error}");
        assert_eq!(std::fs::read_dir(room.path()).unwrap().count(), 0, "{says}");
    }
}

#[test]
fn what_is_not_there_is_told_from_what_cannot_be_reached() {
    if !testing::has("apt-get") {
        return;
    }
    let room = tempfile::tempdir().unwrap();
    let server = Server::start();
    let error = source_of(&server, "jammy", room.path()).unwrap_err();
    assert_eq!((error.kind(), error.message()), (Kind::Config, "there is no PPA bob/tools"));
    let fingerprint = "0123456789ABCDEF0123456789ABCDEF01234567";
    server.put(API, format!(r#"{{"signing_key_fingerprint": "{fingerprint}"}}"#));
    let error = source_of(&server, "jammy", room.path()).unwrap_err();
    assert!(error.message().contains(fingerprint), "{error}");
    // Port 9 is that of the discard service, which nobody runs.
    let nowhere = Server { address: "http://127.0.0.1:9".into(), ..Server::default() };
    let error = source_of(&nowhere, "jammy", room.path()).unwrap_err();
    assert!(error.hints().iter().any(|hint| hint.contains("network")), "{error:?}");
}

#[test]
fn names_are_read_as_people_write_them() {
    let name = |owner: &str, name: &str| Name { owner: owner.into(), name: name.into() };
    for (text, expected) in [
        ("ondrej/php", name("ondrej", "php")),
        ("ppa:ondrej/php", name("ondrej", "php")),
        ("~bob", name("bob", "ppa")),
        ("git-core+x", name("git-core+x", "ppa")),
    ] {
        assert_eq!(parse(text).unwrap(), expected);
    }
    for wrong in
        ["", "/", "a/", "/b", "a/b/c", "Bob/php", "a b", "a/../b", "-a/b", "a?x=1", "http://x/y", "é/a"]
    {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
    let texts = ["a/b", "ppa:a/b", "c d"].map(str::to_owned);
    let (names, problems) = read(&texts, "ubuntu");
    assert_eq!((names.len(), problems.len()), (1, 1));
    let (names, problems) = read(&texts, "debian");
    assert_eq!((names.len(), problems.len()), (0, 1));
    assert!(read(&[], "debian").1.is_empty());
}
