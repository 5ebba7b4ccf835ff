//! `memory/show`: how many there are of what takes memory.

use ovsdb_client::rows::Table;

use super::Daemon;

impl Daemon {
    /// `memory/show`: what there is any of.
    pub fn memory(&mut self) -> Vec<(String, u64)> {
        let count = |n: usize| n as u64;
        let db = self.session.db();
        let cells = Table::ALL.iter().map(|t| db.uuids(*t).len() * t.columns().len()).sum();
        let transactions = [self.in_flight.is_some(), self.stats_in_flight.is_some()];
        let mut usage = vec![
            ("ports", count(self.switch.attached.len())),
            ("ofconns", self.openflow.usage().0),
            ("rules", count(self.context.ofproto.rule_count())),
            // Threads: of packets, which translate too, and the one that looks at flows again.
            ("handlers", 1),
            ("revalidators", 1),
            ("udpif keys", self.context.datapath.stats().flows),
            ("idl-cells-Open_vSwitch", count(cells)),
            (
                "idl-outstanding-txns-Open_vSwitch",
                count(transactions.into_iter().filter(|t| *t).count()),
            ),
        ];
        usage.retain(|(_, n)| *n > 0);
        usage.into_iter().map(|(name, n)| (name.to_owned(), n)).collect()
    }
}
