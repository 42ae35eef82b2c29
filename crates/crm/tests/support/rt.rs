//! A real Request Tracker 5, from Debian's packages, with a database of its own, for as long as the value lives.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const SERVER: &str = "/usr/share/request-tracker5/libexec/rt-server";
const SETUP: &str = "/usr/sbin/rt-setup-database-5";
/// What a database that was set up anew has.
pub const ROOT: (&str, &str) = ("root", "password");

pub struct Rt {
    server: Child,
    pub url: String,
    _dir: TempDir,
}

impl Rt {
    /// Sets it up and starts it; none, with a word on why, where it is not installed.
    pub async fn start() -> Option<Self> {
        if !Path::new(SERVER).exists() || !Path::new(SETUP).exists() {
            eprintln!(
                "SKIPPED: Request Tracker 5 is not installed (scripts/setup.sh test, or apt-get install request-tracker5 rt5-db-sqlite rt5-standalone)"
            );
            return None;
        }
        let dir = TempDir::new().unwrap();
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rt");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let run = |program: &str| {
            let mut command = Command::new(program);
            command
                .env("RT_SITE_CONFIG", files.join("site.pm"))
                .env("RT_SITE_CONFIG_DIR", dir.path().join("none"))
                .env("BATON_RT_DIR", dir.path())
                .env("BATON_RT_PORT", port.to_string())
                .current_dir(dir.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log(dir.path()));
            command
        };
        std::fs::create_dir(dir.path().join("none")).unwrap();
        let seed = files.join("seed.pl");
        for arguments in
            [&["--action", "init", "--skip-create"][..], &["--action", "insert", "--datafile", seed.to_str().unwrap()]]
        {
            let status = run(SETUP).args(arguments).status().unwrap();
            assert!(
                status.success(),
                "{SETUP} {arguments:?}: {}",
                std::fs::read_to_string(dir.path().join("log")).unwrap()
            );
        }
        let mut server = run(SERVER);
        server.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--max-workers", "2"]);
        // A group of its own: its workers end with it.
        std::os::unix::process::CommandExt::process_group(&mut server, 0);
        let rt = Self { server: server.spawn().unwrap(), url: format!("http://127.0.0.1:{port}"), _dir: dir };
        let give_up = Instant::now() + Duration::from_secs(60);
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(
                Instant::now() < give_up,
                "RT does not listen: {}",
                std::fs::read_to_string(rt._dir.path().join("log")).unwrap()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(rt)
    }
}

fn log(dir: &Path) -> std::fs::File {
    let path: PathBuf = dir.join("log");
    std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap()
}

impl Drop for Rt {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", "--", &format!("-{}", self.server.id())]).status();
        let _ = self.server.wait();
    }
}
