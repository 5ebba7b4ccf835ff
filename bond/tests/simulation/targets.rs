//! What probes ask: stations beyond the switch, and how they answer.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use wire::neighbour::Neighbour;

/// What a target does when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Answers,
    Silent,
    /// It answers with another station's address.
    Lies,
}

/// Every target by its address.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    manners: BTreeMap<IpAddr, Manner>,
    asked: u64,
}

pub(crate) fn address(n: u64) -> IpAddr {
    match n % 2 {
        0 => format!("10.0.0.{}", n + 1),
        _ => format!("2001:db8::{n}"),
    }
    .parse()
    .unwrap()
}

impl Targets {
    pub(crate) fn set(&mut self, target: IpAddr, manner: Manner) {
        self.manners.insert(target, manner);
    }

    pub(crate) fn all_answer(&mut self) {
        self.manners.values_mut().for_each(|m| *m = Manner::Answers);
    }

    pub(crate) fn manner(&self, target: IpAddr) -> Manner {
        self.manners.get(&target).copied().unwrap_or(Manner::Answers)
    }

    /// The answer to a request, and how long it takes: less than half of any interval here.
    pub(crate) fn answer(&mut self, frame: &[u8]) -> Option<(Duration, Neighbour)> {
        let key = wire::extract(frame, 0);
        let request = Neighbour::of(&key).expect("a probe is ARP or neighbour discovery");
        assert!(!request.answer);
        self.asked += 1;
        let from = match self.manner(request.to) {
            Manner::Silent => return None,
            Manner::Answers => request.to,
            Manner::Lies => address(100),
        };
        let answer = Neighbour {
            answer: true,
            from,
            to: request.from,
            dst: key.eth_src,
            station: key.eth_src,
            vid: request.vid,
        };
        Some((Duration::from_millis(self.asked % 8), answer))
    }
}
