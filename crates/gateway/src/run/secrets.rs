//! Extensions' passwords. Where the config gives none, one is made at first start and kept beside the store, readable by
//! its owner alone: there is no default password.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use baton_sip::{ExtensionAuth, Ha1};
use rand::Rng;
use rand::distr::Alphanumeric;

use super::StartError;
use crate::config::{Config, Secret};

/// What each extension must prove.
pub struct Passwords {
    dir: PathBuf,
    plain: BTreeMap<String, String>,
    ha1: BTreeMap<String, String>,
}

/// Collects the passwords, making those that are missing.
pub fn passwords(config: &Config) -> Result<Passwords, StartError> {
    let dir = config.store.parent().unwrap_or(Path::new("")).join("secrets");
    let mut out = Passwords { dir, plain: BTreeMap::new(), ha1: BTreeMap::new() };
    for extension in &config.extensions {
        match &extension.secret {
            Secret::Password(p) => {
                out.plain.insert(extension.number.clone(), p.clone());
            }
            Secret::Ha1(h) => {
                out.ha1.insert(extension.number.clone(), h.clone());
            }
            Secret::Generated => {
                let path = out.dir.join(format!("extension-{}", extension.number));
                let password = kept_or_made(&path).map_err(|cause| StartError::Secret { path, cause })?;
                out.plain.insert(extension.number.clone(), password);
            }
        }
    }
    Ok(out)
}

impl Passwords {
    /// As the registrar wants them: hashed.
    pub fn sip_extensions(&self, realm: &str) -> Vec<ExtensionAuth> {
        let plain = self
            .plain
            .iter()
            .map(|(ext, password)| ExtensionAuth { ext: ext.clone(), ha1: Ha1::from_password(ext, realm, password) });
        let hashed = self
            .ha1
            .iter()
            .filter_map(|(ext, hex)| Some(ExtensionAuth { ext: ext.clone(), ha1: Ha1::from_md5_hex(hex)? }));
        plain.chain(hashed).collect()
    }

    /// A generated password, to be shown to who started the gateway.
    pub fn shown(&self, extension: &str) -> &str {
        self.plain.get(extension).map_or("", String::as_str)
    }

    /// Where generated passwords are kept.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

fn kept_or_made(path: &Path) -> std::io::Result<String> {
    match fs::read_to_string(path) {
        Ok(kept) if !kept.trim().is_empty() => return Ok(kept.trim().to_owned()),
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let password: String = rand::rng().sample_iter(Alphanumeric).take(20).map(char::from).collect();
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(password.as_bytes())?;
    file.sync_all()?;
    Ok(password)
}
