//! What members say to each other (`core/proto/proto/cfgstore/peer/v1.proto`). All of it runs on the Raft thread.

pub(crate) mod convert;
pub(crate) mod handshake;
pub(crate) mod leader;
pub(crate) mod leader_service;
pub(crate) mod link;
pub(crate) mod server;
