//! Who calls: the one place where an identity is read off a request.

use std::sync::Arc;

use cfgstore_store::Caller;
use tonic::Request;
use tonic::metadata::MetadataMap;

/// Metadata in which a client says what it calls itself; nobody checks it.
pub(crate) const CLIENT_NAME: &str = "cfgstore-client-name";

/// Metadata in which a client says why it writes.
pub(crate) const COMMENT: &str = "cfgstore-comment";

/// Longest name kept; it goes into the log with every change.
const MAX_CLIENT_NAME_BYTES: usize = 128;

/// Longest comment kept.
const MAX_COMMENT_BYTES: usize = 1_024;

/// Where the calls of a connection come from: an address, or the user of a local process.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeerAddress(pub Option<Arc<str>>);

/// The caller of a request. `user` stays empty until users can authenticate.
pub(crate) fn of<T>(request: &Request<T>) -> Caller {
    let metadata = request.metadata();
    let address = request.extensions().get::<PeerAddress>();
    Caller {
        user: None,
        client: text(metadata, CLIENT_NAME, MAX_CLIENT_NAME_BYTES),
        address: address
            .and_then(|address| address.0.as_deref())
            .map(str::to_owned),
        comment: text(metadata, COMMENT, MAX_COMMENT_BYTES),
    }
}

/// Metadata is ASCII; other characters come percent-encoded. What is longer than it may be is left out as a whole: half a
/// name would be another one.
fn text(metadata: &MetadataMap, name: &str, max_bytes: usize) -> Option<String> {
    let value = metadata.get(name)?.as_bytes();
    let decoded = percent_encoding::percent_decode(value).decode_utf8().ok()?;
    let fits = !decoded.is_empty() && decoded.len() <= max_bytes && !decoded.chars().any(char::is_control);
    fits.then(|| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &str) -> Caller {
        let mut request = Request::new(());
        request.metadata_mut().insert(name, value.parse().unwrap());
        of(&request)
    }

    #[test]
    fn a_clients_name_is_taken_if_it_is_one() {
        assert_eq!(of(&Request::new(())), Caller::default());
        assert_eq!(with(CLIENT_NAME, "php-fpm").client.as_deref(), Some("php-fpm"));
        let encoded = with(CLIENT_NAME, "J%C3%BCrgen 100%");
        assert_eq!(encoded.client.as_deref(), Some("Jürgen 100%"));
        for bad in ["n".repeat(129).as_str(), "%FF", "a%0Ab"] {
            assert_eq!(with(CLIENT_NAME, bad), Caller::default());
        }
    }

    #[test]
    fn a_comment_and_an_address_go_along() {
        let commented = with(COMMENT, "move to db1");
        assert_eq!(commented.comment.as_deref(), Some("move to db1"));
        let mut request = Request::new(());
        request
            .extensions_mut()
            .insert(PeerAddress(Some("unix:uid=33".into())));
        assert_eq!(of(&request).address.as_deref(), Some("unix:uid=33"));
    }
}
