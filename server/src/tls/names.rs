//! The names by which this machine is reached.

use std::net::IpAddr;

use crate::config::DoorsSection;

/// The host's name, when it has one that can stand in a certificate.
pub(crate) fn host_name() -> Option<String> {
    let system = rustix::system::uname();
    let name = system.nodename().to_str().ok()?.to_ascii_lowercase();
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    (plain && !name.is_empty() && name.len() <= 253 && name != "localhost").then_some(name)
}

/// All names that the certificate of the doors carries. `domains` are the base domains of buckets, which need a wildcard, too.
pub(crate) fn names_of_doors(doors: &DoorsSection, domains: &[String]) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    names.extend(host_name());
    names.extend(doors.names.iter().map(|name| name.to_ascii_lowercase()));
    let all = [
        &doors.s3,
        &doors.s3_tls,
        &doors.iam,
        &doors.iam_tls,
        &doors.admin_api,
        &doors.admin_api_tls,
        &doors.console,
        &doors.console_tls,
        &doors.connector,
        &doors.metrics,
    ];
    let addresses = all.into_iter().filter_map(|door| door.address).chain([doors.address]);
    names.extend(addresses.filter(|address| !address.is_unspecified()).map(|address: IpAddr| address.to_string()));
    names.extend(
        all.into_iter().filter_map(|door| Some(door.url.as_ref()?.host_str()?.trim_matches(['[', ']']).to_owned())),
    );
    for domain in domains {
        let host = domain.rsplit_once(':').map_or(domain.as_str(), |(host, _port)| host).to_ascii_lowercase();
        names.push(format!("*.{host}"));
        names.push(host);
    }
    names.sort();
    names.dedup();
    names
}
