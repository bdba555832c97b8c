//! Chooses ports for servers that will keep them.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

/// Below the range from which systems usually take the ports of outgoing connections, so that a
/// port is still free when its server is started again.
const PORTS: Range<u16> = 18_000..28_000;

/// A free loopback port that is not in `taken`. The search starts at a place that depends on
/// `seed`, so that two installations on one machine rarely meet. `None` when all are taken.
pub(super) fn choose(taken: &[u16], seed: u16) -> Option<u16> {
    let count = PORTS.end - PORTS.start;
    (0..count)
        .map(|step| PORTS.start + (seed % count + step) % count)
        .find(|port| !taken.contains(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_port_is_free_and_not_taken() {
        let first = choose(&[], 65_535).unwrap();
        assert!(PORTS.contains(&first));
        assert_ne!(choose(&[first], 65_535).unwrap(), first);

        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        assert_ne!(choose(&[], 65_535).unwrap(), first);
    }
}
