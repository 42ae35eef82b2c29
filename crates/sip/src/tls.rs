//! TLS for streams: certificate and key from files, read again on command, and what a peer has to prove.
//!
//! What must always hold: a reload that fails changes nothing; connections that live keep the certificate they began with.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Where TLS takes its certificates from. All files are PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our chain, our own certificate first. Shown to those who connect, and to servers that ask for one.
    pub certificate: PathBuf,
    /// The key of the first certificate: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
    /// Authorities that sign the certificates of those who connect. `None` asks nobody for one.
    pub client_ca: Option<PathBuf>,
    /// Whether who shows no certificate is refused; one that `client_ca` did not sign always is.
    pub client_required: bool,
    /// Authorities of servers we connect to; `None` takes the system's.
    pub trust: Option<PathBuf>,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// TLS is wanted, and there is no certificate configured.
    #[error("TLS or WSS is to be listened on, but no certificate is configured; name its file and its key's")]
    NotConfigured,
    /// A file cannot be read.
    #[error("cannot read {path}: {cause}", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// A file is not what it should be.
    #[error("{path} holds no {what} in PEM form", path = .path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// Certificate and key do not fit, or use something unknown.
    #[error("certificate {path} cannot be used: {cause}", path = .path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// In words of the TLS library.
        #[source]
        cause: rustls::Error,
    },
    /// The authorities for client certificates cannot be used.
    #[error("client authorities cannot be used: {0}")]
    ClientCa(#[from] VerifierBuilderError),
}

/// What is in force, and the files it came from.
#[derive(Debug)]
pub(crate) struct Tls {
    files: TlsFiles,
    current: RwLock<Sides>,
}

#[derive(Debug, Clone)]
struct Sides {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Tls {
    /// Reads the files.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let current = RwLock::new(sides(&files)?);
        Ok(Self { files, current })
    }

    /// Reads the files again; new connections use what they say now.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = sides(&self.files)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.sides().server)
    }

    pub fn connector(&self) -> TlsConnector {
        TlsConnector::from(self.sides().client)
    }

    fn sides(&self) -> Sides {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn sides(files: &TlsFiles) -> Result<Sides, TlsError> {
    let chain = certificates(&files.certificate)?;
    let key = || PrivateKeyDer::from_pem_file(&files.key).map_err(|e| unreadable(&files.key, "private key", e));
    let unusable = |cause| TlsError::Unusable { path: files.certificate.clone(), cause };
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(path)?), Arc::clone(&provider));
            let verifier = if files.client_required { verifier } else { verifier.allow_unauthenticated() }.build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let server = builder.with_single_cert(chain.clone(), key()?).map_err(unusable)?;
    let trusted = match &files.trust {
        Some(path) => roots(path)?,
        None => {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            store
        }
    };
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_root_certificates(trusted)
        .with_client_auth_cert(chain, key()?)
        .map_err(unusable)?;
    Ok(Sides { server: Arc::new(server), client: Arc::new(client) })
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|cause| TlsError::Unusable { path: path.to_owned(), cause })?;
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = |e| unreadable(path, "certificate", e);
    let all: Vec<_> = CertificateDer::pem_file_iter(path).map_err(read)?.collect::<Result<_, _>>().map_err(read)?;
    if all.is_empty() {
        return Err(TlsError::Content { path: path.to_owned(), what: "certificate" });
    }
    Ok(all)
}

fn unreadable(path: &Path, what: &'static str, error: pem::Error) -> TlsError {
    match error {
        pem::Error::Io(cause) => TlsError::Read { path: path.to_owned(), cause },
        _ => TlsError::Content { path: path.to_owned(), what },
    }
}
