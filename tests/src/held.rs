//! Requests that are in flight until they are told to go on.

use crate::host::Host;
use crate::http::{HttpConnection, HttpResponse};
use crate::process::wait_until;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread::JoinHandle;

/// Requests of `tests/php/hold.php`, one for each worker of a server.
#[derive(Debug)]
pub struct Held {
    folder: PathBuf,
    requests: Vec<JoinHandle<HttpResponse>>,
}

impl Held {
    /// Sends so many to a port on 127.0.0.1, and returns when each has made its first read.
    ///
    /// # Panics
    /// When they do not.
    pub fn start(host: &Host, port: u16, requests: usize) -> Held {
        let folder = host.path("held");
        std::fs::create_dir(&folder).expect("folder");
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).expect("chmod");
        let path = format!("/hold.php?folder={}", folder.display());
        let requests: Vec<_> = (0..requests)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || HttpConnection::get_once(port, &path).expect("an answer"))
            })
            .collect();
        wait_until("all requests to be in flight", || {
            std::fs::read_dir(&folder).expect("folder").count() == requests.len()
        });
        Held { folder, requests }
    }

    /// Lets them go on, and returns their answers.
    ///
    /// # Panics
    /// When one is not answered.
    pub fn go_on(self) -> Vec<HttpResponse> {
        std::fs::write(self.folder.join("go"), "").expect("file");
        self.requests
            .into_iter()
            .map(|request| request.join().expect("a request"))
            .collect()
    }
}
