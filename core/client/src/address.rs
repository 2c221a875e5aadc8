//! Whom a client talks to.

use std::path::PathBuf;

use crate::error::{Error, ErrorKind, Result};

/// Whom a client talks to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Address {
    /// The embedded store of this host: its unix socket in the data folder, started when nothing answers.
    #[default]
    Embedded,
    /// The agent or member behind this unix socket.
    Unix(PathBuf),
    /// These members of a cluster, of cfgstore or of etcd. Never empty.
    Members(Vec<MemberAddress>),
    /// The same, through an agent of this host: its unix socket in a folder of its own below the data folder
    /// ([`agent_folder`](crate::host::agent_folder)), started when nothing answers. Never empty.
    Agent(Vec<MemberAddress>),
}

/// Host and port of one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberAddress {
    /// Host name, IPv4 address, or IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// The port of members when an address names none.
const DEFAULT_PORT: u16 = 2379;

impl Address {
    /// Reads an address as it is written in settings:
    ///
    /// - empty: the embedded store of this host;
    /// - `unix:///run/cfgstore/cfgstore.sock`: that socket;
    /// - `http://a:2379,http://b:2379`: those members. The scheme and the port 2379 may be left out;
    /// - `agent:http://a:2379,http://b:2379`: the same, through an agent of this host.
    pub fn parse(text: &str) -> Result<Address> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Address::Embedded);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.starts_with('/') {
                return Err(Error::invalid(format!(
                    "address {text:?}: a unix socket needs an absolute path, as in unix:///run/cfgstore.sock"
                )));
            }
            return Ok(Address::Unix(path.into()));
        }
        if let Some(members) = text.strip_prefix("agent:") {
            return Ok(Address::Agent(Address::members(members)?));
        }
        Ok(Address::Members(Address::members(text)?))
    }

    fn members(text: &str) -> Result<Vec<MemberAddress>> {
        let members = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(MemberAddress::parse)
            .collect::<Result<Vec<_>>>()?;
        if members.is_empty() {
            return Err(Error::invalid(format!("address {text:?} names no member")));
        }
        Ok(members)
    }
}

impl MemberAddress {
    fn parse(text: &str) -> Result<MemberAddress> {
        let bad = |why: &str| {
            Error::invalid(format!(
                "address {text:?} {why}; expected nothing, unix:///path, or http://host:port[,http://host:port…]"
            ))
        };
        let rest = match text.split_once("://") {
            Some(("http", rest)) => rest,
            Some(("https", _)) => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("address {text:?}: TLS is not supported yet; use http:// or a unix socket"),
                ));
            }
            Some(_) => return Err(bad("has an unknown scheme")),
            None => text,
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@']) {
            return Err(bad("has more than a host and a port"));
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => {
                let (host, after) = v6.split_once(']').ok_or_else(|| bad("lacks a closing bracket"))?;
                host.parse::<std::net::Ipv6Addr>()
                    .map_err(|_| bad("has a bad IPv6 address"))?;
                match after {
                    "" => (host, None),
                    _ => (
                        host,
                        Some(
                            after
                                .strip_prefix(':')
                                .ok_or_else(|| bad("has text after the bracket"))?,
                        ),
                    ),
                }
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(bad("has no valid host"));
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => match port.parse() {
                Ok(port) if port != 0 => port,
                _ => return Err(bad("has a bad port")),
            },
        };
        Ok(MemberAddress {
            host: host.to_owned(),
            port,
        })
    }

    /// As it is written in settings: `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.authority())
    }

    /// `host:port`, with brackets round an IPv6 address.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> Vec<String> {
        match Address::parse(text).unwrap() {
            Address::Members(members) | Address::Agent(members) => {
                members.iter().map(MemberAddress::authority).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn addresses_are_read_as_documented() {
        assert_eq!(Address::parse(" ").unwrap(), Address::Embedded);
        assert_eq!(
            Address::parse("unix:///a/b").unwrap(),
            Address::Unix("/a/b".into())
        );
        assert_eq!(Address::parse("unix:/a/b").unwrap(), Address::Unix("/a/b".into()));
        assert_eq!(members("http://a:1, http://b/,c"), ["a:1", "b:2379", "c:2379"]);
        assert_eq!(members("http://[::1]:7,[::2]"), ["[::1]:7", "[::2]:2379"]);
        assert_eq!(members("agent:http://a:1,b"), ["a:1", "b:2379"]);
        assert!(matches!(Address::parse("agent:a").unwrap(), Address::Agent(_)));
    }

    #[test]
    fn bad_addresses_are_refused() {
        for text in [
            "unix://a",
            "ftp://a",
            "http://",
            "http://a:0",
            "http://a:99999",
            "http://a:b",
            "http://a/x",
            "http://u@a",
            "http://[::1",
            "http://[zz]",
            "http://[::1]x",
            ",",
            "agent:",
            "agent:unix:///a",
            "embedded:/dir",
            "a b",
        ] {
            assert_eq!(
                Address::parse(text).unwrap_err().kind,
                ErrorKind::InvalidArgument,
                "{text}"
            );
        }
        assert_eq!(
            Address::parse("https://a").unwrap_err().kind,
            ErrorKind::Unsupported
        );
    }
}
