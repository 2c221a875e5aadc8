//! One e-mail over SMTP.

use std::time::Duration;

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use crate::failure::Failure;
use crate::secret::scrub;
use crate::validate::{Encryption, SmtpServer};

/// Sends an e-mail, as `user` with a password if there is one. A server that refuses one recipient refuses all.
pub(crate) async fn send(
    server: &SmtpServer,
    login: Option<(&str, &str)>,
    email: lettre::Message,
    timeout: Duration,
) -> Result<(), Failure> {
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host)
        .port(server.port)
        .tls(tls(server)?)
        .timeout(Some(timeout));
    if let Some((user, password)) = login {
        builder = builder.credentials(Credentials::new(user.to_owned(), password.to_owned()));
    }
    let secrets: Vec<&str> = login.iter().map(|(_, password)| *password).collect();
    match builder.build::<Tokio1Executor>().send(email).await {
        Ok(_) => Ok(()),
        Err(error) => Err(failure(&server.host, &error, &secrets)),
    }
}

fn tls(server: &SmtpServer) -> Result<Tls, Failure> {
    let parameters = || {
        TlsParameters::new(server.host.clone())
            .map_err(|error| Failure::transient(format!("{}: TLS can't be set up: {error}", server.host)))
    };
    Ok(match server.encryption {
        Encryption::None => Tls::None,
        Encryption::StartTls => Tls::Required(parameters()?),
        Encryption::Tls => Tls::Wrapper(parameters()?),
    })
}

fn failure(host: &str, error: &lettre::transport::smtp::Error, secrets: &[&str]) -> Failure {
    // What doesn't speak SMTP is not quoted: a rule is no means to read what other services say.
    let reason = match error.is_response() {
        true => format!("{host} did not answer as an SMTP server does"),
        false => format!("{host}: {}", scrub(&error.to_string(), secrets, 300)),
    };
    match error.is_permanent() {
        true => Failure::permanent(reason),
        false => Failure::transient(reason),
    }
}
