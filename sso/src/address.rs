//! The console's address as CloudStack's settings spell it.

use url::{Host, Url};

use crate::{CONSOLE_PATH, Error};

/// Protocol, host and port of a console. The parts are kept as text, because a URL type drops a default port and the
/// links must carry it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleAddress {
    /// `http` or `https`.
    pub protocol: String,
    /// A host name or an IP address (IPv6 in brackets).
    pub host: String,
    /// The port, written out even when it is the protocol's default.
    pub port: u16,
}

impl ConsoleAddress {
    /// Checks the parts and keeps them.
    ///
    /// # Errors
    /// [`Error::InvalidAddress`] for another protocol, a host that is none, or port 0.
    pub fn new(protocol: &str, host: &str, port: u16) -> Result<Self, Error> {
        let known = matches!(protocol, "http" | "https");
        let plain = Host::parse(host).is_ok() && host.is_ascii();
        if !known || !plain || port == 0 {
            return Err(Error::InvalidAddress);
        }
        Ok(Self { protocol: protocol.to_owned(), host: host.to_owned(), port })
    }

    /// The address in a URL such as `https://console.example.com:8443/Cloudian/`.
    ///
    /// # Errors
    /// [`Error::InvalidAddress`] for any other path, a query, a fragment, a user or a password.
    pub fn from_url(url: &Url) -> Result<Self, Error> {
        let bare = url.query().is_none() && url.fragment().is_none();
        let anonymous = url.username().is_empty() && url.password().is_none();
        if url.path() != CONSOLE_PATH || !bare || !anonymous {
            return Err(Error::InvalidAddress);
        }
        let host = url.host_str().ok_or(Error::InvalidAddress)?;
        let port = url.port_or_known_default().ok_or(Error::InvalidAddress)?;
        Self::new(url.scheme(), host, port)
    }

    /// `{protocol}://{host}:{port}/Cloudian/`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}://{}:{}{CONSOLE_PATH}", self.protocol, self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_url_has_port_and_slash() {
        let address = ConsoleAddress::new("https", "console.example.com", 443).unwrap();
        assert_eq!(address.base_url(), "https://console.example.com:443/Cloudian/");
        let v6 = ConsoleAddress::new("http", "[::1]", 8088).unwrap();
        assert_eq!(v6.base_url(), "http://[::1]:8088/Cloudian/");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (protocol, host, port) in
            [("ftp", "h", 1), ("HTTPS", "h", 1), ("https", "", 1), ("https", "h", 0), ("https", "h/x", 1)]
        {
            assert_eq!(ConsoleAddress::new(protocol, host, port), Err(Error::InvalidAddress), "{protocol} {host}");
        }
        for host in ["user@h", "h:80", "h?x", "a b"] {
            assert_eq!(ConsoleAddress::new("https", host, 1), Err(Error::InvalidAddress), "{host}");
        }
        for url in ["https://h/", "https://u@h/Cloudian/", "https://h/Cloudian/?a", "https://h/Cloudian"] {
            assert_eq!(ConsoleAddress::from_url(&Url::parse(url).unwrap()), Err(Error::InvalidAddress), "{url}");
        }
    }
}
