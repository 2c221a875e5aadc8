//! What of a request's headers goes on with the call.

use tonic::codegen::http::{HeaderMap, HeaderName, header};
use tonic::metadata::MetadataMap;

use crate::caller::{CLIENT_NAME, COMMENT};

/// A header that is metadata under the rest of its name.
const PREFIX: &str = "grpc-metadata-";
/// What etcd's own clients call the token.
const TOKEN: HeaderName = HeaderName::from_static("token");

/// The metadata of the call.
pub(super) fn of(headers: &HeaderMap) -> MetadataMap {
    let mut metadata = HeaderMap::new();
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix(PREFIX)
            && let Ok(name) = HeaderName::try_from(name)
        {
            metadata.append(name, value.clone());
        }
    }
    for name in [CLIENT_NAME, COMMENT] {
        if let Some(value) = headers.get(name) {
            metadata.insert(HeaderName::from_static(name), value.clone());
        }
    }
    if let Some(token) = headers.get(header::AUTHORIZATION) {
        let bare = token.as_bytes();
        let bare = bare.strip_prefix(b"Bearer ").unwrap_or(bare);
        if let Ok(bare) = bare.try_into() {
            metadata.insert(TOKEN, bare);
        }
        metadata.insert(header::AUTHORIZATION, token.clone());
    }
    MetadataMap::from_headers(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_named_metadata_pass() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer abc.7".parse().unwrap());
        headers.insert("grpc-metadata-hasleader", "true".parse().unwrap());
        headers.insert("cookie", "x".parse().unwrap());
        let metadata = of(&headers);
        assert_eq!(metadata.get("token").unwrap(), "abc.7");
        assert_eq!(metadata.get("authorization").unwrap(), "Bearer abc.7");
        assert_eq!(metadata.get("hasleader").unwrap(), "true");
        assert_eq!(metadata.len(), 3);
    }
}
