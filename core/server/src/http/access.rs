//! Who may ask over HTTP: the host name a request was sent to, and the origin of the page that sent it.

use tonic::body::Body;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri, header, request};

use super::response;

/// In a list of hosts or origins: every one.
const ANY: &str = "*";
/// What pages of an allowed origin may use.
const CORS: [(HeaderName, &str); 2] = [
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        "accept, content-type, authorization",
    ),
    (
        header::ACCESS_CONTROL_ALLOW_METHODS,
        "POST, GET, OPTIONS, PUT, DELETE",
    ),
];

/// The refusal of a request that was sent to a host name not on the list: a page elsewhere has let its own name point here.
pub(super) fn refuse_host(head: &request::Parts, hosts: &[String]) -> Option<Response<Body>> {
    if hosts.is_empty() || hosts.iter().any(|host| host == ANY) {
        return None;
    }
    let asked = head
        .uri
        .authority()
        .map(|authority| authority.as_str())
        .or_else(|| head.headers.get(header::HOST)?.to_str().ok())
        .unwrap_or_default();
    let name = without_port(asked);
    if hosts.iter().any(|host| host == name) {
        return None;
    }
    let refusal = format!(
        "the host name {name:?} is not one that requests may be sent to: add it to --host-whitelist, or use one that is on it\n"
    );
    Some(response::text(StatusCode::MISDIRECTED_REQUEST, refusal))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // Not the inside of an IPv6 address.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Lets pages of an allowed origin read the answer.
pub(super) fn allow_origin(head: &request::Parts, origins: &[String], answer: &mut HeaderMap) {
    let origin = if origins.iter().any(|origin| origin == ANY) {
        HeaderValue::from_static(ANY)
    } else {
        match head.headers.get(header::ORIGIN) {
            Some(origin)
                if origins
                    .iter()
                    .any(|allowed| allowed.as_bytes() == origin.as_bytes()) =>
            {
                origin.clone()
            }
            _ => return,
        }
    };
    answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    for (name, value) in CORS {
        answer.insert(name, HeaderValue::from_static(value));
    }
}

/// `/v3beta/` is what `/v3/` was called once.
pub(super) fn rename_old_path(head: &mut request::Parts) {
    let Some(rest) = head.uri.path_and_query().map(PathAndQuery::as_str) else {
        return;
    };
    let Some(rest) = rest.strip_prefix("/v3beta/") else {
        return;
    };
    let mut parts = head.uri.clone().into_parts();
    parts.path_and_query = format!("/v3/{rest}").parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        head.uri = uri;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::codegen::http::Request;

    fn head(host: &str, origin: Option<&str>) -> request::Parts {
        let mut request = Request::get("/v3beta/kv/range?a=b").header("host", host);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn hosts_are_compared_without_their_port() {
        let hosts = ["etcd.example".to_owned(), "[::1]".to_owned()];
        for host in ["etcd.example", "etcd.example:2379", "[::1]:2379", "[::1]"] {
            assert!(refuse_host(&head(host, None), &hosts).is_none(), "{host}");
        }
        let refusal = refuse_host(&head("evil.example:2379", None), &hosts).unwrap();
        assert_eq!(refusal.status(), 421);
        assert!(refuse_host(&head("evil.example", None), &["*".to_owned()]).is_none());
        assert!(refuse_host(&head("evil.example", None), &[]).is_none());
    }

    #[test]
    fn origins_on_the_list_may_read() {
        let allowed = |origins: &[&str], origin: Option<&str>| {
            let origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
            let mut answer = HeaderMap::new();
            allow_origin(&head("h", origin), &origins, &mut answer);
            let origin = answer.get(header::ACCESS_CONTROL_ALLOW_ORIGIN)?;
            Some(origin.to_str().unwrap().to_owned())
        };
        assert_eq!(allowed(&["*"], None).as_deref(), Some("*"));
        assert_eq!(
            allowed(&["http://a"], Some("http://a")).as_deref(),
            Some("http://a")
        );
        assert_eq!(allowed(&["http://a"], Some("http://b")), None);
        assert_eq!(allowed(&["http://a"], None), None);
        assert_eq!(allowed(&[], Some("http://a")), None);
    }

    #[test]
    fn the_old_name_of_the_gateway_still_leads_there() {
        let mut head = head("h", None);
        rename_old_path(&mut head);
        assert_eq!(head.uri, "/v3/kv/range?a=b");
    }
}
