//! Who calls: the one place where an identity is read off a request.

use cfgstore_store::Caller;
use tonic::metadata::MetadataMap;

/// Metadata in which a client says what it calls itself; nobody checks it.
pub(crate) const CLIENT_NAME: &str = "cfgstore-client-name";

/// Longest name kept; it goes into the log with every change.
const MAX_CLIENT_NAME_BYTES: usize = 128;

/// The caller of a request with this metadata. `user` stays empty until users can authenticate.
pub(crate) fn of(metadata: &MetadataMap) -> Caller {
    let client = metadata
        .get(CLIENT_NAME)
        .and_then(|name| name.to_str().ok())
        .filter(|name| !name.is_empty() && name.len() <= MAX_CLIENT_NAME_BYTES)
        .map(str::to_owned);
    Caller {
        client,
        ..Caller::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_name_is_taken_if_it_is_one() {
        let mut metadata = MetadataMap::new();
        assert_eq!(of(&metadata), Caller::default());
        metadata.insert(CLIENT_NAME, "php-fpm".parse().unwrap());
        assert_eq!(of(&metadata).client.as_deref(), Some("php-fpm"));
        metadata.insert(CLIENT_NAME, "n".repeat(129).parse().unwrap());
        assert_eq!(of(&metadata), Caller::default());
    }
}
