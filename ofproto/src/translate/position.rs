//! Where a packet is in the pipeline: bridge, table and the rule whose actions run.

use std::sync::Arc;

use openflow::OfPort;

use crate::snapshot::{Bridge, Place, Snapshot};
use crate::tables::{Rule, TablesSnapshot};

/// The rule whose actions run.
#[derive(Clone)]
pub(super) enum CurrentRule {
    /// A rule of a flow table.
    Rule(Arc<Rule>),
    /// One of the switch's own, for packets that no rule matches.
    Internal,
}

/// The bridge to go back to.
pub(super) struct LeftBridge {
    bridge: usize,
    tables: Arc<TablesSnapshot>,
}

/// The rule to go back to.
pub(super) struct LeftRule {
    rule: Option<CurrentRule>,
    cookie: u64,
}

/// See the module.
pub(super) struct Position<'a> {
    snap: &'a Snapshot,
    bridge: usize,
    tables: Arc<TablesSnapshot>,
    table: u8,
    rule: Option<CurrentRule>,
    cookie: u64,
}

impl<'a> Position<'a> {
    /// Table 0 of a bridge, before any rule. Without a bridge nothing but
    /// [`Position::tables`] may be called.
    pub(super) fn new(snap: &'a Snapshot, bridge: Option<usize>) -> Position<'a> {
        let bridge = bridge.unwrap_or(0);
        let tables = snap
            .bridges
            .get(bridge)
            .map_or_else(|| Arc::new(TablesSnapshot::empty()), |b| b.state.tables.load_full());
        Position { snap, bridge, tables, table: 0, rule: None, cookie: u64::MAX }
    }

    /// All bridges.
    pub(super) fn snap(&self) -> &'a Snapshot {
        self.snap
    }

    /// The index of the bridge.
    pub(super) fn bridge(&self) -> usize {
        self.bridge
    }

    /// The bridge.
    pub(super) fn here(&self) -> &'a Bridge {
        &self.snap.bridges[self.bridge]
    }

    /// The bridge's flow tables. They are the same for all of the packet's stay in the bridge.
    pub(super) fn tables(&self) -> &Arc<TablesSnapshot> {
        &self.tables
    }

    /// Where an OpenFlow port of the bridge is.
    pub(super) fn place(&self, port: OfPort) -> Option<Place> {
        let (bundle, iface) = self.here().of_port(port)?;
        Some(Place { bridge: self.bridge, bundle, iface })
    }

    /// The `OFPPC_*` bits of a port of the bridge.
    pub(super) fn port_config(&self, port: OfPort) -> u32 {
        self.here().state.port_config.load().get(&port).copied().unwrap_or(0)
    }

    /// Goes to another bridge, until [`Position::leave_bridge`].
    pub(super) fn enter_bridge(&mut self, bridge: usize) -> LeftBridge {
        let tables = self.snap.bridges[bridge].state.tables.load_full();
        LeftBridge {
            bridge: std::mem::replace(&mut self.bridge, bridge),
            tables: std::mem::replace(&mut self.tables, tables),
        }
    }

    /// Goes back to the bridge before.
    pub(super) fn leave_bridge(&mut self, left: LeftBridge) {
        self.bridge = left.bridge;
        self.tables = left.tables;
    }

    /// The table that is looked up, or that the rule is from.
    pub(super) fn table(&self) -> u8 {
        self.table
    }

    /// Goes to another table; returns the one before.
    pub(super) fn set_table(&mut self, table: u8) -> u8 {
        std::mem::replace(&mut self.table, table)
    }

    /// The rule whose actions run; nothing for the actions of a packet-out or a frozen state.
    pub(super) fn rule(&self) -> Option<&CurrentRule> {
        self.rule.as_ref()
    }

    /// The rule's cookie; all ones without a rule.
    pub(super) fn cookie(&self) -> u64 {
        self.cookie
    }

    /// Begins with the actions of a rule, until [`Position::leave_rule`].
    pub(super) fn enter_rule(&mut self, rule: CurrentRule) -> LeftRule {
        let cookie = match &rule {
            CurrentRule::Rule(r) => r.cookie,
            CurrentRule::Internal => 0,
        };
        LeftRule {
            rule: self.rule.replace(rule),
            cookie: std::mem::replace(&mut self.cookie, cookie),
        }
    }

    /// Goes back to the rule before.
    pub(super) fn leave_rule(&mut self, left: LeftRule) {
        (self.rule, self.cookie) = (left.rule, left.cookie);
    }

    /// Goes on in the middle of a rule's actions, of which only table and cookie are known.
    pub(super) fn resume_in(&mut self, table: u8, cookie: u64) {
        (self.table, self.cookie) = (table, cookie);
    }
}
