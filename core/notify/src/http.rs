//! One POST: a connection of its own, no redirect, no more than a look at the answer's head.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, pki_types::ServerName};
use url::Url;

use crate::failure::Failure;

/// TLS as a client, with the host's own root certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others), which are read
/// when they are first needed.
#[derive(Default)]
pub(crate) struct Tls(OnceLock<Arc<ClientConfig>>);

impl Tls {
    fn config(&self) -> Arc<ClientConfig> {
        self.0.get_or_init(|| Arc::new(client_config())).clone()
    }
}

fn client_config() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    // A certificate that can't be read is one less; without any, no server is believed.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the ciphers of TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Posts JSON. Succeeds with a status of 2xx. The caller bounds the time.
pub(crate) async fn post(
    tls: &Tls,
    url: &Url,
    headers: &[(&'static str, String)],
    body: Vec<u8>,
) -> Result<(), Failure> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(80);
    let fail = |what: &str, error: &dyn std::fmt::Display| {
        Failure::transient(format!("{host}, port {port}: {what}: {error}"))
    };
    let name = host.trim_matches(['[', ']']).to_owned();
    let tcp = TcpStream::connect((name.as_str(), port))
        .await
        .map_err(|error| fail("can't connect", &error))?;
    let request = request(url, headers, body).map_err(|error| fail("can't make the request", &error))?;
    let answered = if url.scheme() == "https" {
        let server = ServerName::try_from(name).map_err(|error| fail("not a name for TLS", &error))?;
        let stream = TlsConnector::from(tls.config())
            .connect(server, tcp)
            .await
            .map_err(|error| fail("TLS failed", &error))?;
        exchange(stream, request).await
    } else {
        exchange(tcp, request).await
    };
    let (status, retry_after) = answered.map_err(|error| fail("no answer", &error))?;
    judge(host, status, retry_after)
}

fn request(
    url: &Url,
    headers: &[(&'static str, String)],
    body: Vec<u8>,
) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    let mut request = Request::post(path)
        .header(HOST, host)
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("cfgstore/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    request.body(Full::new(body.into()))
}

/// The answer's status, and the time that it asks for. Its body is not read: it is of no use, and could be of any length.
async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Option<Duration>), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(64 * 1024)
        .handshake(TokioIo::new(stream))
        .await?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        Ok((response.status(), retry_after(&response)))
    };
    tokio::pin!(exchange);
    tokio::pin!(connection);
    tokio::select! {
        answered = &mut exchange => answered,
        // It ends before the answer only with an error, which the exchange is told too.
        _ = &mut connection => exchange.await,
    }
}

fn retry_after<B>(response: &Response<B>) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(secs) = text.parse() {
        return Some(Duration::from_secs(secs));
    }
    let then = httpdate::parse_http_date(text).ok()?;
    then.duration_since(SystemTime::now()).ok()
}

/// What a status means for the message.
fn judge(host: &str, status: StatusCode, retry_after: Option<Duration>) -> Result<(), Failure> {
    if status.is_success() {
        return Ok(());
    }
    let code = status.as_u16();
    let (permanent, hint) = match code {
        300..=399 => (true, " (redirects are not followed)"),
        408 | 425 | 429 => (false, ""),
        400..=499 => (true, ""),
        _ => (false, ""),
    };
    Err(Failure {
        reason: format!("{host} answered {code}{hint}"),
        permanent,
        retry_after,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        let judged = |code: u16| judge("h", StatusCode::from_u16(code).unwrap(), None);
        for code in [200, 202, 204] {
            judged(code).unwrap();
        }
        for code in [408, 425, 429, 500, 502, 503] {
            assert!(!judged(code).unwrap_err().permanent, "{code}");
        }
        for code in [301, 400, 401, 404, 410] {
            let failure = judged(code).unwrap_err();
            assert!(failure.permanent, "{code}");
            assert!(failure.reason.contains(&code.to_string()));
        }
    }

    #[test]
    fn times_to_wait() {
        let response = |value: &str| Response::builder().header(RETRY_AFTER, value).body(()).unwrap();
        assert_eq!(retry_after(&response("30")), Some(Duration::from_secs(30)));
        assert_eq!(retry_after(&response("soon")), None);
        assert_eq!(retry_after(&response("-1")), None);
        let then = SystemTime::now() + Duration::from_secs(3600);
        let asked = retry_after(&response(&httpdate::fmt_http_date(then))).unwrap();
        assert!(asked <= Duration::from_secs(3600) && asked > Duration::from_secs(60));
        assert_eq!(retry_after(&response("Thu, 01 Jan 1970 00:00:00 GMT")), None);
    }
}
