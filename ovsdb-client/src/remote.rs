//! Where the servers of a database are.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use stream::target::{OVSDB_PORT, split_list};
use stream::{Target, TargetError};

/// One or more servers of the same database, with commas between them: the members of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remotes(Vec<Target>);

impl Remotes {
    /// The servers in the order given; at least one.
    pub fn as_slice(&self) -> &[Target] {
        &self.0
    }

    /// The servers with Unix sockets' relative paths joined to a directory.
    pub fn below(self, directory: &Path) -> Remotes {
        Remotes(self.0.into_iter().map(|remote| remote.below(directory)).collect())
    }

    /// Puts the servers into an order that depends on `seed`, so that the clients of a fleet, which
    /// all have the same list, do not all begin with the same server.
    pub(crate) fn shuffle(&mut self, seed: u64) {
        let mut state = seed;
        for at in (1..self.0.len()).rev() {
            // SplitMix64.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut random = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            random = (random ^ (random >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            random ^= random >> 31;
            self.0.swap(at, (random % (at as u64 + 1)) as usize);
        }
    }
}

impl From<Target> for Remotes {
    fn from(remote: Target) -> Remotes {
        Remotes(vec![remote])
    }
}

impl FromStr for Remotes {
    type Err = TargetError;

    /// Targets ([`Target::parse`]) with commas between them. A comma that no connection method
    /// follows belongs to the path before it.
    fn from_str(text: &str) -> Result<Remotes, TargetError> {
        let targets = split_list(text).into_iter();
        let remotes: Result<Vec<Target>, TargetError> =
            targets.map(|text| Target::parse(text, OVSDB_PORT)).collect();
        remotes.map(Remotes)
    }
}

impl fmt::Display for Remotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, remote) in self.0.iter().enumerate() {
            write!(f, "{}{remote}", if at > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_servers_parses() {
        let list: Remotes = "tcp:192.0.2.1:1,ssl:192.0.2.2, unix:/a,b,ptcp:7".parse().unwrap();
        assert_eq!(list.to_string(), "tcp:192.0.2.1:1,ssl:192.0.2.2:6640,unix:/a,b,ptcp:7:0.0.0.0");
        assert_eq!(list.as_slice().len(), 4);
        for bad in ["", ",", "tcp:192.0.2.1,tcp:no where", "tcp:192.0.2.1,", "unix:,tcp:192.0.2.1"]
        {
            assert!(bad.parse::<Remotes>().is_err(), "{bad}");
        }
    }

    #[test]
    fn shuffle_puts_each_server_first_for_some_seed() {
        let mut firsts = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let mut list: Remotes = "tcp:192.0.2.1,tcp:192.0.2.2,tcp:192.0.2.3".parse().unwrap();
            list.shuffle(seed);
            firsts.insert(list.0[0].to_string());
            list.0.sort_by_key(ToString::to_string);
            assert_eq!(list.to_string().matches("192.0.2.").count(), 3);
        }
        assert_eq!(firsts.len(), 3);
    }
}
