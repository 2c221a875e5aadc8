//! php-fpm behind nginx, as an application runs: workers that are not root, one pool, one port.

use crate::free_port::free_port;
use crate::host::Host;
use crate::http::{HttpConnection, HttpResponse};
use crate::process::{Process, children, is_root, wait_until};
use std::fmt::Write as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// Debian's user and group of web servers.
const WWW_DATA: u32 = 33;

/// How the pool is set up.
#[derive(Debug, Clone)]
pub struct FpmOptions {
    /// Worker processes, a fixed number.
    pub workers: usize,
    /// Requests after which a worker is replaced; 0 for never.
    pub max_requests: usize,
    /// More PHP settings, `name=value`.
    pub settings: Vec<String>,
    /// Variables of the master's environment.
    pub environment: Vec<(String, String)>,
    /// The master is of the workers' user, not root's.
    pub unprivileged_master: bool,
}

impl Default for FpmOptions {
    fn default() -> FpmOptions {
        FpmOptions {
            workers: 8,
            max_requests: 0,
            settings: Vec::new(),
            environment: Vec::new(),
            unprivileged_master: false,
        }
    }
}

/// A running pool, serving the scripts of `tests/php`.
#[derive(Debug)]
pub struct Fpm {
    master: Process,
    _nginx: Process,
    port: u16,
}

impl Fpm {
    /// Starts the pool and nginx, and returns when a request is answered.
    ///
    /// # Panics
    /// When they cannot be started.
    pub fn start(host: &Host, options: &FpmOptions) -> Fpm {
        let port = free_port();
        let folder = host.path("fpm");
        copy_scripts(&folder);
        let root = is_root();
        if root {
            own_by_www_data(host);
        }

        let mut pool = String::from("[global]\ndaemonize = no\nprocess_control_timeout = 20s\n");
        let _ = writeln!(pool, "error_log = {}", folder.join("fpm.log").display());
        let _ = writeln!(
            pool,
            "[app]\nlisten = {}\nlisten.backlog = 511",
            folder.join("fpm.sock").display()
        );
        if root && !options.unprivileged_master {
            pool.push_str(
                "user = www-data\ngroup = www-data\nlisten.owner = www-data\nlisten.group = www-data\n",
            );
        }
        let _ = writeln!(pool, "pm = static\npm.max_children = {}", options.workers);
        let _ = writeln!(
            pool,
            "pm.max_requests = {}\ncatch_workers_output = yes",
            options.max_requests
        );
        std::fs::write(folder.join("fpm.conf"), pool).expect("pool file");
        let mut command = Command::new("php-fpm8.2");
        command
            .env("PATH", path_with_sbin())
            .arg("--fpm-config")
            .arg(folder.join("fpm.conf"));
        command
            .args(host.php_settings())
            .envs(options.environment.clone());
        for setting in &options.settings {
            command.arg("-d").arg(setting);
        }
        if root && options.unprivileged_master {
            command.uid(WWW_DATA).gid(WWW_DATA);
            std::os::unix::fs::chown(&folder, Some(WWW_DATA), Some(WWW_DATA)).expect("chown");
        }
        let master = Process::spawn(&mut command);

        std::fs::create_dir_all(folder.join("nginx")).expect("folder");
        let f = folder.display();
        let mut site =
            format!("daemon off;\nworker_processes 1;\npid {f}/nginx.pid;\nerror_log {f}/nginx.log;\n");
        if root {
            site.push_str("user www-data;\n");
        }
        let _ = write!(
            site,
            "events {{ worker_connections 512; }}\nhttp {{ access_log off; keepalive_requests 1000000;\n\
             client_body_temp_path {f}/nginx; fastcgi_temp_path {f}/nginx; proxy_temp_path {f}/nginx;\n\
             scgi_temp_path {f}/nginx; uwsgi_temp_path {f}/nginx;\n\
             server {{ listen 127.0.0.1:{port}; location / {{ fastcgi_pass unix:{f}/fpm.sock;\n\
             fastcgi_param SCRIPT_FILENAME {f}/scripts$fastcgi_script_name; fastcgi_param QUERY_STRING $query_string;\n\
             fastcgi_param REQUEST_METHOD $request_method; fastcgi_param REQUEST_URI $request_uri;\n\
             fastcgi_param SERVER_PROTOCOL $server_protocol; }} }} }}\n"
        );
        std::fs::write(folder.join("nginx.conf"), site).expect("nginx file");
        let mut command = Command::new("nginx");
        command
            .env("PATH", path_with_sbin())
            .arg("-c")
            .arg(folder.join("nginx.conf"));
        command.arg("-e").arg(folder.join("nginx.log"));
        let fpm = Fpm {
            master,
            _nginx: Process::spawn(&mut command),
            port,
        };
        wait_until("the pool to answer", || {
            HttpConnection::get_once(port, "/ping.php").is_ok_and(|r| r.status == 200)
        });
        // The first worker answers before the last is forked.
        wait_until("all workers to be there", || {
            fpm.workers().len() == options.workers
        });
        fpm
    }

    /// The port of nginx on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// One request on a connection of its own.
    ///
    /// # Panics
    /// When it is not answered.
    pub fn get(&self, path: &str) -> HttpResponse {
        HttpConnection::get_once(self.port, path).expect("a request")
    }

    /// The master process.
    pub fn master(&self) -> &Process {
        &self.master
    }

    /// Ends the pool with SIGKILL, master and workers at once, and nginx.
    pub fn kill(self) {
        self.master.kill();
    }

    /// The pool's worker processes now.
    pub fn workers(&self) -> Vec<i32> {
        children(self.master.pid())
    }

    /// Tells the master to end when the requests in flight are answered (SIGQUIT).
    pub fn quit(&self) {
        self.master.signal(libc::SIGQUIT);
    }

    /// Waits for the master's end, of which the caller has told it.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait(self) -> ExitStatus {
        self.master.wait()
    }
}

/// The scripts of `tests/php`, in a folder of the host's.
pub(crate) fn copy_scripts(folder: &Path) -> PathBuf {
    let scripts = folder.join("scripts");
    std::fs::create_dir_all(&scripts).expect("folder");
    for script in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("php"))
        .expect("scripts")
        .flatten()
    {
        std::fs::copy(script.path(), scripts.join(script.file_name())).expect("copy of a script");
    }
    scripts
}

/// Makes the data folder, as the workers' own.
pub(crate) fn own_by_www_data(host: &Host) {
    std::fs::create_dir_all(host.data_dir()).expect("data folder");
    let owned = Command::new("chown")
        .args(["-R", "www-data:www-data"])
        .arg(host.data_dir())
        .status();
    assert!(owned.expect("chown").success());
}

fn path_with_sbin() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}
