//! Answers in the shapes that Go's net/http gives them, which etcd's clients have seen.

use tonic::body::Body;
use tonic::codegen::http::{HeaderValue, Response, StatusCode, header};

const NOSNIFF: &str = "x-content-type-options";

pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// An answer of this content type.
pub(super) fn with_type(status: StatusCode, kind: &'static str, body: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::new(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

pub(super) fn json(status: StatusCode, body: impl Into<String>) -> Response<Body> {
    with_type(status, "application/json", body)
}

/// Plain text that no browser takes for anything else.
pub(super) fn text(status: StatusCode, body: impl Into<String>) -> Response<Body> {
    let mut response = with_type(status, "text/plain; charset=utf-8", body);
    response
        .headers_mut()
        .insert(NOSNIFF, HeaderValue::from_static("nosniff"));
    response
}

/// The refusal of any method but GET.
pub(super) fn not_get() -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("GET"));
    response
}
