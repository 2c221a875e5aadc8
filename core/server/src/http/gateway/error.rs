//! Refusals, with grpc-gateway's HTTP status for each code.

use serde_json::json;
use tonic::body::Body;
use tonic::codegen::http::{Response, StatusCode};
use tonic::{Code, Status};

use crate::http::response;

/// A refusal before any message was answered.
pub(super) fn refusal(status: &Status) -> Response<Body> {
    response::json(http_status(status.code()), body(status))
}

/// The refusal of a body that is larger than anything the services take.
pub(super) fn too_large(limit: usize) -> Response<Body> {
    let status = Status::resource_exhausted(format!(
        "the request's body is larger than {limit} bytes: see --max-request-bytes"
    ));
    response::json(StatusCode::PAYLOAD_TOO_LARGE, body(&status))
}

fn body(status: &Status) -> String {
    json!({
        "error": status.message(),
        "code": status.code() as i32,
        "message": status.message(),
    })
    .to_string()
}

/// The refusal that ends a stream: a line of its own. It has the fields of either generation of grpc-gateway.
pub(super) fn stream_error(status: &Status) -> String {
    let http = http_status(status.code());
    let error = json!({
        "grpc_code": status.code() as i32,
        "http_code": http.as_u16(),
        "message": status.message(),
        "http_status": http.canonical_reason().unwrap_or_default(),
        "code": status.code() as i32,
    });
    format!("{}\n", json!({ "error": error }))
}

/// The HTTP status that stands for `code`.
pub(super) fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::Cancelled => StatusCode::REQUEST_TIMEOUT,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
