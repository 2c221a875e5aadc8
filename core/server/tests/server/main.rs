//! The server as its clients see it. One binary, so that it links once.

mod agent;
mod binary;
mod common;
mod election;
mod etcd;
mod etcdctl;
mod gateway;
mod hash_kv;
mod http;
mod http_client;
mod kv;
mod leaderless;
mod lease;
mod lifecycle;
mod lock;
mod maintenance;
mod members;
mod mirror;
mod others;
mod remote;
mod remote_trouble;
mod streams;
mod watch;
mod watch_limits;
mod watch_random;
