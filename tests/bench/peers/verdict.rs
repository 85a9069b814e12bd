//! What the figures of a run say: ours beside the peers', the limit and the goals.

use super::{Arguments, Peer};
use crate::report::{Goal, Phase, Report};

/// The numbers of clients and bytes of a phase, by which phases of different peers are the same.
struct Kind<'a> {
    what: String,
    operation: &'a str,
    size_bytes: u64,
    by_bytes: bool,
}

/// Compares the best turn of each peer.
pub(super) fn compare(arguments: &Arguments, wall_mib_per_s: f64, report: &mut Report) {
    let small = |operation| Kind {
        what: format!("{operation} of {} at {}", crate::sizes::show(arguments.small), arguments.clients),
        operation,
        size_bytes: arguments.small,
        by_bytes: false,
    };
    let large = |operation| Kind {
        what: format!("{operation} of {}", crate::sizes::show(arguments.large)),
        operation,
        size_bytes: arguments.large,
        by_bytes: true,
    };
    let phases = report.phases.clone();
    let rows = [
        (small("PUT"), Some(3.0), None),
        (small("GET"), Some(2.0), Some(0.5)),
        (small("MIXED"), None, None),
        (large("PUT"), None, None),
        (large("GET"), None, Some(0.8)),
    ];
    for (kind, goal_of_best, goal_of_limit) in rows {
        let Some(ours) = best(&phases, &kind, Peer::Cloudhold) else { continue };
        let unsafe_peers = [Peer::Seaweedfs, Peer::Garage];
        let of_peers = unsafe_peers.into_iter().filter_map(|peer| best(&phases, &kind, peer)).reduce(f64::max);
        if let Some(best_peer) = of_peers {
            let what = format!("{}, to the best peer in its default", kind.what);
            report.figure(what, ours / best_peer, "times", goal_of_best.map(Goal::AtLeast));
        }
        for peer in [Peer::SeaweedfsSafe, Peer::GarageSafe] {
            if let Some(safe) = best(&phases, &kind, peer) {
                report.figure(format!("{}, to {}", kind.what, peer.name()), ours / safe, "times", None);
            }
        }
        if let Some(limit) = best(&phases, &kind, Peer::Nginx) {
            let what = format!("{}, to nginx", kind.what);
            report.figure(what, ours / limit, "times", goal_of_limit.map(Goal::AtLeast));
        }
    }
    if let Some(ours) = best(&phases, &large("PUT"), Peer::Cloudhold) {
        let what = format!("{}, signed, to the hash wall", large("PUT").what);
        report.figure(what, ours / wall_mib_per_s, "times", Some(Goal::AtLeast(0.9)));
    }
}

/// The best rate of a peer: operations, or MiB of large objects, in a second.
fn best(phases: &[Phase], kind: &Kind<'_>, peer: Peer) -> Option<f64> {
    let same = |phase: &&Phase| {
        phase.level == peer.name() && phase.operation == kind.operation && phase.size_bytes == kind.size_bytes
    };
    let rate = |phase: &Phase| if kind.by_bytes { phase.mib_per_s } else { phase.operations_per_s };
    phases.iter().filter(same).filter(|phase| phase.errors == 0).map(rate).reduce(f64::max)
}
