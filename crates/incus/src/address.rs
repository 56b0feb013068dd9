//! Where Incus is, and one connection to it: its unix socket, or its HTTPS port with a client
//! certificate. Nothing of HTTP.

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio_rustls::{TlsConnector, rustls};

use crate::error::{Error, Result};

/// How long connecting may take: a unix socket answers at once or not at all.
const CONNECT: Duration = Duration::from_secs(1);
/// The same over a network, with the TLS handshake.
const CONNECT_TLS: Duration = Duration::from_secs(5);
/// Incus's port.
const PORT: u16 = 8443;

/// Where Incus is.
#[derive(Clone)]
pub(crate) enum Address {
    /// Behind a unix socket: the system says who may.
    Unix(PathBuf),
    /// Behind HTTPS: the client's certificate says who it is.
    Https {
        /// `HOST:PORT`.
        authority: String,
        host: ServerName<'static>,
        tls: TlsConnector,
    },
}

/// What shows a client to Incus, and Incus to the client; all in PEM.
#[derive(Clone)]
pub struct Certificates {
    /// The client's certificate, which Incus trusts (`incus config trust add-certificate`).
    pub client: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
    /// Incus's own certificate (`server.crt`): it signs itself, so exactly this one is trusted.
    pub server: Vec<u8>,
}

/// Why an address cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadAddress {
    /// Not `https://HOST[:PORT]`.
    #[error("Incus's URL is written https://HOST or https://HOST:PORT")]
    Url,
    /// A certificate or the key is not PEM, or not what it should be.
    #[error("{what} cannot be used: {why}")]
    Pem {
        /// Which of the three.
        what: &'static str,
        /// Why.
        why: String,
    },
}

impl Address {
    /// `https://HOST[:PORT]`.
    pub(crate) fn https(url: &str, with: &Certificates) -> Result<Self, BadAddress> {
        let authority = url.strip_prefix("https://").ok_or(BadAddress::Url)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let parsed: http::uri::Authority = authority.parse().map_err(|_| BadAddress::Url)?;
        if authority.contains('@') {
            return Err(BadAddress::Url);
        }
        let bare = parsed.host().trim_matches(['[', ']']).to_owned();
        let host = ServerName::try_from(bare).map_err(|_| BadAddress::Url)?;
        let port = parsed.port_u16().unwrap_or(PORT);
        Ok(Self::Https {
            authority: format!("{}:{port}", parsed.host()),
            host,
            tls: TlsConnector::from(Arc::new(tls(with)?)),
        })
    }

    /// One connection.
    pub(crate) async fn connect(&self) -> Result<Stream> {
        let unreachable = |source| Error::Unreachable {
            engine: self.to_string(),
            source,
        };
        let late = |_| unreachable(std::io::ErrorKind::TimedOut.into());
        match self {
            Self::Unix(path) => {
                let connected = timeout(CONNECT, UnixStream::connect(path)).await;
                Ok(Stream::Unix(connected.map_err(late)?.map_err(unreachable)?))
            }
            Self::Https {
                authority,
                host,
                tls,
            } => {
                let dial = async {
                    let stream = TcpStream::connect(authority.as_str()).await?;
                    stream.set_nodelay(true)?;
                    tls.connect(host.clone(), stream).await
                };
                let connected = timeout(CONNECT_TLS, dial).await;
                Ok(Stream::Tls(Box::new(
                    connected.map_err(late)?.map_err(unreachable)?,
                )))
            }
        }
    }

    /// The socket's path, where it is one.
    pub(crate) fn socket(&self) -> Option<&Path> {
        match self {
            Self::Unix(path) => Some(path),
            Self::Https { .. } => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Https { authority, .. } => write!(f, "https://{authority}"),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn tls(with: &Certificates) -> Result<ClientConfig, BadAddress> {
    let bad = |what| {
        move |why: &dyn fmt::Display| BadAddress::Pem {
            what,
            why: why.to_string(),
        }
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let client: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&with.client).collect();
    let client = client.map_err(|e| bad("the client's certificate")(&e))?;
    let key = PrivateKeyDer::from_pem_slice(&with.key).map_err(|e| bad("the client's key")(&e))?;
    let server = CertificateDer::from_pem_slice(&with.server)
        .map_err(|e| bad("the server's certificate")(&e))?;
    let pinned = Arc::new(Pinned {
        certificate: server,
        provider: provider.clone(),
    });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| bad("TLS")(&e))?
        .dangerous()
        .with_custom_certificate_verifier(pinned)
        .with_client_auth_cert(client, key)
        .map_err(|e| bad("the client's certificate")(&e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Trusts one certificate and no other: Incus's is signed by nobody, and its names need not be the
/// one it is dialled by.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// A connection to Incus.
#[derive(Debug)]
pub(crate) enum Stream {
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_or_a_certificate_that_is_none_is_told() {
        let none = Certificates {
            client: b"x".to_vec(),
            key: b"x".to_vec(),
            server: b"x".to_vec(),
        };
        for bad in ["", "http://h", "https://", "https://a b", "https://u@h"] {
            let refused = Address::https(bad, &none);
            assert!(matches!(refused, Err(BadAddress::Url)), "{bad}");
        }
        let Err(refused) = Address::https("https://h:1", &none) else {
            panic!("it was taken")
        };
        assert!(refused.to_string().contains("cannot be used"), "{refused}");
    }
}
