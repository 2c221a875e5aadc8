//! Everything that knows openraft. The rest of the crate sees our own types only, and nothing openraft defines is ever
//! written to disk as it defines it.

pub(crate) mod codec;
pub(crate) mod log_store;
pub(crate) mod network;
pub(crate) mod state_machine;
pub(crate) mod types;

#[cfg(test)]
mod suite_tests;
