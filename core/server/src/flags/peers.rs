//! The flags that make a cluster.

use std::net::SocketAddr;

use cfgstore_replica::{Bootstrap, InitialMember};

use super::Flags;
use crate::config::ListenAddress;
use crate::start_error::StartError;

/// Where etcd listens for its peers when not told.
const DEFAULT_PEER_URL: &str = "http://localhost:2380";

/// What the flags say about the other members.
pub(super) struct Cluster {
    pub listen: Vec<SocketAddr>,
    pub advertise: Vec<String>,
    pub bootstrap: Bootstrap,
}

impl Cluster {
    /// `None` when no flag asks for a cluster.
    pub fn read(flags: &Flags) -> Result<Option<Cluster>, StartError> {
        let refuse = |setting, reason| StartError::Config { setting, reason };
        let given = |urls: &[String]| -> Vec<String> {
            let trimmed = urls.iter().map(|url| url.trim_end_matches('/').to_owned());
            trimmed.filter(|url| !url.is_empty()).collect()
        };
        let mut listen_urls = given(&flags.listen_peer_urls);
        let advertised = given(&flags.initial_advertise_peer_urls);
        let existing = match flags.initial_cluster_state.as_str() {
            "new" => false,
            "existing" => true,
            other => {
                return Err(refuse(
                    "--initial-cluster-state",
                    format!("is {other:?}; use new or existing"),
                ));
            }
        };
        let members = match flags.initial_cluster.as_deref() {
            Some(list) if !list.is_empty() => Some(parse_members(list)?),
            _ => None,
        };
        if members.is_none() && listen_urls.is_empty() && advertised.is_empty() && !existing {
            return Ok(None);
        }
        if listen_urls.is_empty() {
            listen_urls.push(DEFAULT_PEER_URL.to_owned());
        }
        let listen = listen_urls
            .iter()
            .map(|url| peer_address(url).map_err(|reason| refuse("--listen-peer-urls", reason)))
            .collect::<Result<Vec<SocketAddr>, _>>()?;
        let myself = members
            .iter()
            .flatten()
            .find(|member| member.name == flags.name)
            .map(|member| member.peer_urls.clone());
        let advertise = match (advertised.is_empty(), &myself) {
            (false, _) => advertised,
            (true, Some(urls)) => urls.clone(),
            (true, None) => listen_urls,
        };
        for url in &advertise {
            check_peer_url(url).map_err(|reason| refuse("--initial-advertise-peer-urls", reason))?;
        }
        let members = match members {
            Some(members) => members,
            None if existing => {
                return Err(refuse(
                    "--initial-cluster",
                    "is missing: with --initial-cluster-state=existing it names the members to ask"
                        .to_owned(),
                ));
            }
            None => vec![InitialMember {
                name: flags.name.clone(),
                peer_urls: advertise.clone(),
            }],
        };
        check_myself(&flags.name, &members, &advertise)?;
        let bootstrap = if existing {
            Bootstrap::Existing { members }
        } else {
            let token = flags.initial_cluster_token.clone();
            Bootstrap::New { members, token }
        };
        Ok(Some(Cluster {
            listen,
            advertise,
            bootstrap,
        }))
    }
}

fn check_myself(name: &str, members: &[InitialMember], advertise: &[String]) -> Result<(), StartError> {
    let refuse = |reason| {
        Err(StartError::Config {
            setting: "--initial-cluster",
            reason,
        })
    };
    let Some(myself) = members.iter().find(|member| member.name == name) else {
        return refuse(format!(
            "does not name this member, {name:?} (see --name); it names {}",
            members
                .iter()
                .map(|member| format!("{:?}", member.name))
                .collect::<Vec<_>>()
                .join(", ")
        ));
    };
    let sorted = |urls: &[String]| {
        let mut urls = urls.to_vec();
        urls.sort();
        urls
    };
    if sorted(&myself.peer_urls) != sorted(advertise) {
        return refuse(format!(
            "gives {name:?} the addresses {}, but --initial-advertise-peer-urls is {}: both must be the same",
            myself.peer_urls.join(","),
            advertise.join(",")
        ));
    }
    Ok(())
}

/// Reads `name=url,name=url`; a member with several addresses is named several times.
fn parse_members(list: &str) -> Result<Vec<InitialMember>, StartError> {
    let refuse = |reason: String| StartError::Config {
        setting: "--initial-cluster",
        reason,
    };
    let mut members: Vec<InitialMember> = Vec::new();
    for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let Some((name, url)) = item.split_once('=') else {
            return Err(refuse(format!("has {item:?}, which is not of the form name=url")));
        };
        let url = url.trim_end_matches('/').to_owned();
        check_peer_url(&url).map_err(refuse)?;
        if let Some(other) = members.iter().find(|member| member.peer_urls.contains(&url)) {
            return Err(refuse(format!(
                "gives {url} twice: to {:?} and {name:?}",
                other.name
            )));
        }
        InitialMember::add(&mut members, name, url);
    }
    Ok(members)
}

/// Others resolve the address when they connect, so a name is as good as a number here.
fn check_peer_url(url: &str) -> Result<(), String> {
    if url.starts_with("https://") {
        return Err(format!(
            "{url:?} asks for TLS, which this version does not serve; use http://"
        ));
    }
    let port = url
        .strip_prefix("http://")
        .filter(|authority| !authority.contains(['/', '?', '#', '@']))
        .and_then(|authority| authority.rsplit_once(':'))
        .filter(|(host, _)| !host.is_empty())
        .and_then(|(_, port)| port.parse::<u16>().ok());
    match port {
        Some(_) => Ok(()),
        None => Err(format!("{url:?} is not of the form http://host:port")),
    }
}

fn peer_address(url: &str) -> Result<SocketAddr, String> {
    match ListenAddress::parse(url)? {
        ListenAddress::Tcp(address) => Ok(address),
        ListenAddress::Unix(_) => Err(format!("{url:?} is not of the form http://host:port")),
    }
}
