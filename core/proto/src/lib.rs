//! The wire of cfgstore: messages, clients and servers generated from the `.proto` files in `proto/`.
//!
//! The etcd packages carry etcd's names and field numbers (those of etcd 3.6, and `RangeStream` of 3.7),
//! so that any etcd v3 client can talk to a cfgstore server and the other way round. The files are written
//! from the published numbers; `tests/golden.rs` holds encodings written by hand to prove them.
//! [`cfgstore::v1`] is what etcd has no word for.
//!
//! `bytes` fields are [`bytes::Bytes`], which share the buffer of the request they came in: whoever keeps one
//! for long should copy it, or it keeps the whole request alive.
//!
//! Each service `X` of a package comes as two modules beside its messages: `x_client` and `x_server`.

// What the generator writes has docs only where the .proto files have comments.
#![allow(missing_docs, clippy::doc_lazy_continuation, clippy::large_enum_variant)]

/// What the `.proto` files say, as an encoded `google.protobuf.FileDescriptorSet`: for whoever handles messages without
/// knowing their types, such as the JSON gateway.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// etcd's key-value messages: a key with its revisions, and an event on it.
pub mod mvccpb {
    tonic::include_proto!("mvccpb");
}

/// etcd's users, roles and permissions.
pub mod authpb {
    tonic::include_proto!("authpb");
}

/// etcd's services: KV, Watch, Lease, Cluster, Maintenance and Auth.
pub mod etcdserverpb {
    tonic::include_proto!("etcdserverpb");
}

/// etcd's lock service.
pub mod v3lockpb {
    tonic::include_proto!("v3lockpb");
}

/// etcd's election service.
pub mod v3electionpb {
    tonic::include_proto!("v3electionpb");
}

/// gRPC's own services that etcd serves too.
pub mod grpc {
    /// Whether a server serves.
    pub mod health {
        /// Version 1.
        pub mod v1 {
            tonic::include_proto!("grpc.health.v1");
        }
    }
}

/// What etcd has no word for.
pub mod cfgstore {
    /// Version 1: the host agent, history, schemas and notifications.
    pub mod v1 {
        tonic::include_proto!("cfgstore.v1");
    }
    /// What members say to each other.
    pub mod peer {
        /// Version 1.
        pub mod v1 {
            tonic::include_proto!("cfgstore.peer.v1");
        }
    }
}
