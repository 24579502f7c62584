//! `http.tls`: what makes connections secure, and keeps up with certificates that are renewed.
//!
//! [`Tls`] is the [`Handshake`](crate::serve::Handshake) of the server. Everything that a
//! handshake needs is one [`rustls::ServerConfig`], which is made anew, and swapped in, whenever
//! one of its files changes. Handshakes that come after it use the new one; connections that stand
//! are not touched.

mod acme;
mod client_certificates;
mod error;
mod handshake;
mod pem;
mod settings;
mod suites;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio::sync::Semaphore;

use acme::Acme;
pub use error::Error;
use settings::Identity;
pub use settings::{ClientAuth, Settings};

/// Does the handshakes of a server. Clones are the same.
#[derive(Clone, Debug)]
pub struct Tls {
    current: Arc<RwLock<Arc<ServerConfig>>>,
    acme: Option<Arc<Acme>>,
    handshakes: Arc<Semaphore>,
}

impl Tls {
    /// TLS by the certificates that `settings` name: those in their files, or those that an ACME
    /// server has given and will give.
    ///
    /// Files are looked at again for as long as a clone lives, every two seconds and by a task of
    /// the current runtime; those that cannot be used change nothing, and the log says why. ACME
    /// has a task a host; until a host has its first certificate, handshakes for it fail.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or holds something else, and settings that leave nothing.
    pub async fn start(settings: Settings) -> Result<Self, Error> {
        let files = watch::Fingerprint::of(&settings);
        let acme = match &settings.identity {
            Identity::Files { .. } => None,
            Identity::Acme(acme) => Some((Arc::new(Acme::new(acme, &settings.provider)?), acme)),
        };
        let config = settings.server_config(acme.as_ref().map(|(acme, _)| acme))?;
        if let Some((acme, settings)) = &acme {
            acme.start(settings).await?;
        }
        let tls = Self {
            current: Arc::new(RwLock::new(Arc::new(config))),
            acme: acme.map(|(acme, _)| acme),
            handshakes: Arc::new(Semaphore::new(handshake::MOST)),
        };
        watch::spawn(settings, files, &tls);
        Ok(tls)
    }

    fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The one cryptography library, with what it offers.
fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}
