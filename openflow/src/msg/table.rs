//! Flow tables: statistics, features, configuration.

/// A table's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// The table, 0 to 254.
    pub table_id: u8,
    /// Before 1.3.
    pub name: String,
    /// 1.0: bits of the wildcards that it supports.
    pub wildcards: u32,
    /// 1.1 and 1.2: fields, instructions and actions that it supports, as sent.
    pub supported: Vec<u8>,
    /// Before 1.3.
    pub max_entries: u32,
    /// Number of flows.
    pub active: u32,
    /// Packets looked up.
    pub lookups: u64,
    /// Packets that matched a flow.
    pub matched: u64,
}

/// Bits of a table's configuration, 1.4 and later.
pub mod table_config {
    /// Flows may be evicted when the table is full (`OFPTC_EVICTION`).
    pub const EVICTION: u32 = 4;
    /// Vacancy events are sent (`OFPTC_VACANCY_EVENTS`).
    pub const VACANCY_EVENTS: u32 = 8;
}

/// When to tell that a table fills up or empties, in percent that are free (1.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vacancy {
    /// Tell when less is free.
    pub down: u8,
    /// Tell when more is free again.
    pub up: u8,
    /// What is free; 0 in a command.
    pub now: u8,
}

/// A command to change a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableMod {
    /// 255: all.
    pub table_id: u8,
    /// 1.1 and 1.2: what a miss does (0 to controller, 1 next table, 2 drop); 1.4 and later:
    /// [`table_config`].
    pub config: u32,
    /// 1.4: 1 other, 2 by importance, 4 by lifetime.
    pub eviction: Option<u32>,
    /// 1.4.
    pub vacancy: Option<Vacancy>,
}

/// A table's configuration (1.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableDesc {
    /// The table, 0 to 254.
    pub table_id: u8,
    /// Bits of [`table_config`].
    pub config: u32,
    /// Bits of `OFPTMPEF_*`: 1 other, 2 by importance, 4 by lifetime.
    pub eviction: Option<u32>,
    /// The thresholds of vacancy events.
    pub vacancy: Option<Vacancy>,
}

/// A table filled up or has room again (1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableStatus {
    /// 3: less is free than wanted, 4: more is free again.
    pub reason: u8,
    /// The table.
    pub desc: TableDesc,
}

/// What a table can (1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFeatures {
    /// The table, 0 to 254.
    pub table_id: u8,
    /// 1.5: replace, modify, enable, disable; 0 before.
    pub command: u8,
    /// 1.5.
    pub features: u32,
    /// Its name, at most 31 octets.
    pub name: String,
    /// Bits of the metadata that it can match.
    pub metadata_match: u64,
    /// Bits of the metadata that it can write.
    pub metadata_write: u64,
    /// Bits of [`table_config`] that it can have.
    pub capabilities: u32,
    /// Most flows.
    pub max_entries: u32,
    /// Type and content of each property.
    pub properties: Vec<(u16, Vec<u8>)>,
}
