//! The internet of a test: a CONNECT proxy on loopback behind which the fake is every host.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, LazyLock, Mutex},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::{
    ServerConfig,
    crypto::ring,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::{
    fake::Fake,
    request::{Request, Response},
};

const MAX_HEAD_BYTES: usize = 8192;

/// Serves every fake; the tests themselves block threads of their own.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
});

static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);

/// The certificate of the authority behind every host, as PEM.
pub(crate) fn ca_pem() -> String {
    AUTHORITY.issuer.pem()
}

/// A proxy that leads to a fake, until it is dropped.
pub(crate) struct Network {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Network {
    pub(crate) fn start(fake: &Arc<Fake>) -> io::Result<Self> {
        let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let fake = fake.clone();
        let task = RUNTIME.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let fake = fake.clone();
                // Ends with the connection, whose other end is a process that the test ends.
                RUNTIME.spawn(async move {
                    if let Err(error) = serve(stream, &fake).await {
                        fake.note_broken_connection(&error.to_string());
                    }
                });
            }
        });
        Ok(Self { address, task })
    }

    /// The URL of the proxy.
    pub(crate) fn proxy(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves one connection: CONNECT (RFC 9110 §9.3.6), TLS, then HTTP/1.1.
async fn serve(mut stream: TcpStream, fake: &Arc<Fake>) -> io::Result<()> {
    let Some(host) = read_connect(&mut stream).await? else {
        return Ok(());
    };
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(EveryHost));
    let stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await?;
    let name = stream.get_ref().1.server_name().map(str::to_owned);
    if name.as_deref() != Some(host.as_str()) {
        return Err(io::Error::other(format!(
            "TLS for {name:?} in a tunnel to {host}"
        )));
    }
    let service = service_fn(|request| respond(request, host.clone(), fake.clone()));
    // A client may close whenever it likes.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
    Ok(())
}

/// The host of a CONNECT request; `None` at the end of the connection.
async fn read_connect(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) if head.len() < MAX_HEAD_BYTES => head.push(byte),
            _ if head.is_empty() => return Ok(None),
            _ => return Err(io::Error::other("no whole head")),
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let authority = head
        .strip_prefix("CONNECT ")
        .and_then(|rest| rest.split(' ').next());
    match authority.and_then(|authority| authority.strip_suffix(":443")) {
        Some(host) => Ok(Some(host.to_owned())),
        None => Err(io::Error::other(format!(
            "the proxy got {:?}",
            head.lines().next()
        ))),
    }
}

async fn respond(
    request: hyper::Request<Incoming>,
    host: String,
    fake: Arc<Fake>,
) -> Result<hyper::Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes().to_vec();
    let named = head.headers.get("host").and_then(|host| host.to_str().ok());
    if named != Some(host.as_str()) {
        fake.note_broken_connection(&format!("Host is {named:?} in a tunnel to {host}"));
    }
    let request = Request {
        method: head.method.to_string(),
        url: format!("https://{host}{}", head.uri.path()),
        query: head.uri.query().map(str::to_owned),
        headers: head.headers,
        body,
    };
    Ok(into_hyper(fake.answer(&request)))
}

fn into_hyper(response: Response) -> hyper::Response<Full<Bytes>> {
    let mut builder = hyper::Response::builder().status(response.status);
    if !response.body.is_empty() {
        builder = builder.header("content-type", response.content_type);
    }
    if let Some(location) = response.location {
        builder = builder.header("location", location);
    }
    builder
        .body(Full::new(response.body.into()))
        .expect("a valid head")
}

/// A certificate for any name.
#[derive(Debug)]
struct EveryHost;

impl ResolvesServerCert for EveryHost {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        AUTHORITY.certificate(hello.server_name()?)
    }
}

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    key: KeyPair,
    certificates: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "only for tests");
        let key = || KeyPair::generate().expect("a key");
        Self {
            issuer: CertifiedIssuer::self_signed(params, key()).expect("an authority"),
            key: key(),
            certificates: Mutex::default(),
        }
    }

    fn certificate(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        let mut known = self.certificates.lock().ok()?;
        if let Some(certificate) = known.get(host) {
            return Some(certificate.clone());
        }
        let certificate = CertificateParams::new([host.to_owned()])
            .and_then(|params| params.signed_by(&self.key, &self.issuer))
            .ok()?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let signing = ring::sign::any_supported_type(&key).ok()?;
        let certified = Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signing));
        known.insert(host.to_owned(), certified.clone());
        Some(certified)
    }
}
