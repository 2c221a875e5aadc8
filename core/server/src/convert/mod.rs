//! Between the wire's messages and the store's types.

mod request;
mod response;

pub(crate) use request::{compact, delete_range, put, range, txn};
pub(crate) use response::{
    delete_response, key_value, put_response, range_key_value, range_response, txn_response, wants_keys_only,
};
