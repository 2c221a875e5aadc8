//! The server as its clients see it. One binary, so that it links once.

mod agent;
mod binary;
mod common;
mod etcdctl;
mod gateway;
mod http;
mod http_client;
mod kv;
mod lease;
mod lifecycle;
mod lock;
mod mirror;
mod watch;
mod watch_limits;
mod watch_random;
