//! Whole-system tests of cfgstore: this library starts real processes (cfgstored, php, php-fpm behind nginx, Apache) in fresh
//! folders on loopback and free ports, and ends them with the test. The tests themselves are in `tests/`.
//!
//! They run what `scripts/build.sh` left in `build/` (another folder: `CFGSTORE_BUILD_DIR`).

mod apache;
mod cluster;
mod fpm;
mod free_port;
mod held;
mod host;
mod http;
mod load;
mod netns;
mod process;
mod remote;
mod sink;
mod tls;

pub use apache::Apache;
pub use cluster::{Calls, Cluster, Kind, Member, MemberClient, Port, Read};
pub use fpm::{Fpm, FpmOptions};
pub use held::Held;
pub use host::{Host, build_folder};
pub use http::{HttpConnection, HttpResponse};
pub use load::{Load, LoadOptions, LoadReport};
pub use netns::{Bridge, Namespace};
pub use process::{
    Process, children, descriptors, is_root, mappings, memory_kib, monotonic_ns, processes_in_group,
    processes_matching, sockets, wait_until,
};
pub use remote::Remote;
pub use sink::{HttpSink, Mail, Posted, SmtpSink};
pub use tls::{Authority, Begins, TlsFront};
