//! One client for each endpoint, where each is asked for itself.

use cfgstore_client::{Client, Members};

use crate::arguments::Connection;
use crate::connect_running;
use crate::failure::Failure;
use crate::output::Output;

/// An endpoint, and a client that talks to it alone.
pub struct Endpoint {
    pub name: String,
    pub client: Client,
}

/// Those of --endpoints, or with `cluster` every member that has started.
pub async fn all(connection: &Connection, cluster: bool) -> Result<Vec<Endpoint>, Failure> {
    if !cluster {
        return connection
            .endpoints
            .split(',')
            .map(|name| one(connection, name.trim()))
            .collect();
    }
    let members = connect_running(connection)?.members().await?;
    of_members(connection, &members)
}

/// The first address of each member that has started.
pub fn of_members(connection: &Connection, members: &Members) -> Result<Vec<Endpoint>, Failure> {
    let urls = members
        .members
        .iter()
        .filter_map(|member| member.client_urls.first());
    urls.map(|url| one(connection, url)).collect()
}

fn one(connection: &Connection, name: &str) -> Result<Endpoint, Failure> {
    let client = connect_running(&Connection {
        endpoints: name.to_owned(),
        ..connection.clone()
    })?;
    Ok(Endpoint {
        name: if name.is_empty() {
            "embedded".to_owned()
        } else {
            name.to_owned()
        },
        client,
    })
}

/// Reports each failure as it comes, and fails in the end with the last one.
pub struct Failures(Option<Failure>);

impl Failures {
    pub fn new() -> Failures {
        Failures(None)
    }

    pub fn add(&mut self, failure: Failure, output: &Output) {
        if let Some(earlier) = self.0.replace(failure) {
            earlier.report(output);
        }
    }

    pub fn result(self) -> Result<(), Failure> {
        self.0.map_or(Ok(()), Err)
    }
}
