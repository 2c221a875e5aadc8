//! Requests beyond what is read at all are refused in grpc-go's words, which etcd's clients know, not in
//! tonic's.

use std::task::{Context, Poll};

use futures_util::TryFutureExt;
use futures_util::future::MapOk;
use tonic::codegen::http::{HeaderValue, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};

/// How tonic begins its refusal; the sizes follow.
const TONIC_WORDS: &str = "Error, decoded message length too large: found ";

#[derive(Clone, Copy, Debug)]
pub(crate) struct OversizeLayer;

#[derive(Clone, Debug)]
pub(crate) struct Oversize<S>(S);

impl<S> Layer<S> for OversizeLayer {
    type Service = Oversize<S>;

    fn layer(&self, inner: S) -> Oversize<S> {
        Oversize(inner)
    }
}

impl<S, R, B> Service<R> for Oversize<S>
where
    S: Service<R, Response = Response<B>>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = MapOk<S::Future, fn(Response<B>) -> Response<B>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.0.call(request).map_ok(reword)
    }
}

/// A refusal comes before any message, so its status is among the headers.
fn reword<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    // 11 is OutOfRange.
    if headers.get(Status::GRPC_STATUS).is_none_or(|code| code != "11") {
        return response;
    }
    let Some(status) = Status::from_header_map(headers) else {
        return response;
    };
    let Some((found, limit)) = sizes(status.message()) else {
        return response;
    };
    let text = format!("grpc%3A received message larger than max ({found} vs. {limit})");
    if let Ok(text) = HeaderValue::try_from(text) {
        headers.insert(Status::GRPC_MESSAGE, text);
        headers.insert(
            Status::GRPC_STATUS,
            HeaderValue::from(Code::ResourceExhausted as i32),
        );
    }
    response
}

fn sizes(message: &str) -> Option<(u64, u64)> {
    let rest = message.strip_prefix(TONIC_WORDS)?;
    let (found, rest) = rest.split_once(' ')?;
    let limit = rest.split(' ').find_map(|word| word.parse().ok())?;
    Some((found.parse().ok()?, limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_are_kept() {
        let text = "Error, decoded message length too large: found 12 bytes, the limit is: 10 bytes";
        assert_eq!(sizes(text), Some((12, 10)));
        assert_eq!(
            sizes("etcdserver: mvcc: required revision has been compacted"),
            None
        );
    }
}
