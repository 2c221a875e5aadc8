//! The server as its clients see it. One binary, so that it links once.

mod agent;
mod binary;
mod bounded;
mod common;
mod election;
mod etcd;
mod etcdctl;
#[path = "../../../../tests/src/free_port.rs"]
mod free_port;
mod gateway;
mod gateway_etcd;
mod hash_kv;
mod history;
mod http;
mod http_client;
mod kv;
mod leaderless;
mod lease;
mod lifecycle;
mod lock;
mod maintenance;
mod members;
mod metrics;
mod mirror;
mod others;
mod remote;
mod remote_trouble;
mod schemas;
mod streams;
mod watch;
mod watch_limits;
mod watch_random;
