//! Apache with PHP inside its processes (mpm_prefork, mod_php): workers that are not root, one port.

use crate::fpm::{copy_scripts, own_by_www_data};
use crate::free_port::free_port;
use crate::host::Host;
use crate::http::{HttpConnection, HttpResponse};
use crate::process::{Process, children, wait_until};
use std::fmt::Write as _;
use std::process::Command;

/// Where Debian keeps Apache's modules.
const MODULES: &str = "/usr/lib/apache2/modules";

/// A running Apache, serving the scripts of `tests/php`. It is to be started by root.
#[derive(Debug)]
pub struct Apache {
    parent: Process,
    port: u16,
    workers: usize,
}

impl Apache {
    /// Starts it with a fixed number of workers, and returns when a request is answered.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(host: &Host, workers: usize) -> Apache {
        let port = free_port();
        let folder = host.path("apache");
        let scripts = copy_scripts(&folder);
        own_by_www_data(host);
        // Apache takes no settings for PHP on its command line.
        let mut ini = String::new();
        for setting in host.php_settings().iter().filter(|word| *word != "-d") {
            let _ = writeln!(ini, "{setting}");
        }
        std::fs::write(folder.join("php.ini"), ini).expect("php.ini");
        let (f, scripts) = (folder.display(), scripts.display());
        let config = format!(
            "ServerRoot {f}\nServerName localhost\nPidFile {f}/pid\nErrorLog {f}/error.log\nListen 127.0.0.1:{port}\n\
             User www-data\nGroup www-data\nDefaultRuntimeDir {f}\n\
             LoadModule mpm_prefork_module {MODULES}/mod_mpm_prefork.so\nLoadModule authz_core_module {MODULES}/mod_authz_core.so\n\
             LoadModule mime_module {MODULES}/mod_mime.so\nLoadModule php_module {MODULES}/libphp8.2.so\n\
             TypesConfig /dev/null\nPHPIniDir {f}\nDocumentRoot {scripts}\n<Directory {scripts}>\nRequire all granted\n\
             SetHandler application/x-httpd-php\n</Directory>\n\
             StartServers {workers}\nMinSpareServers {workers}\nMaxSpareServers {workers}\nMaxRequestWorkers {workers}\n\
             MaxKeepAliveRequests 0\nGracefulShutdownTimeout 20\n"
        );
        std::fs::write(folder.join("apache.conf"), config).expect("Apache's file");
        let mut command = Command::new("/usr/sbin/apache2");
        command
            .args(["-D", "FOREGROUND", "-f"])
            .arg(folder.join("apache.conf"));
        let apache = Apache {
            parent: Process::spawn(&mut command),
            port,
            workers,
        };
        wait_until("Apache to answer", || {
            HttpConnection::get_once(port, "/ping.php").is_ok_and(|r| r.status == 200)
        });
        apache.wait_for_workers();
        apache
    }

    /// Returns when all workers are there.
    ///
    /// # Panics
    /// When they do not come.
    pub fn wait_for_workers(&self) {
        wait_until("all workers to be there", || self.workers().len() == self.workers);
    }

    /// The port on 127.0.0.1.
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

    /// The process that forks the workers.
    pub fn parent(&self) -> &Process {
        &self.parent
    }

    /// Waits for its end, of which the caller has told it.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait(self) -> std::process::ExitStatus {
        self.parent.wait()
    }

    /// Its worker processes now.
    pub fn workers(&self) -> Vec<i32> {
        children(self.parent.pid())
    }
}
