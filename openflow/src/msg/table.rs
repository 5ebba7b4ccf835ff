//! Flow tables: statistics, features, configuration.

/// A table's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    pub table_id: u8,
    /// Before 1.3.
    pub name: String,
    /// 1.0: bits of the wildcards that it supports.
    pub wildcards: u32,
    /// 1.1 and 1.2: fields, instructions and actions that it supports, as sent.
    pub supported: Vec<u8>,
    /// Before 1.3.
    pub max_entries: u32,
    pub active: u32,
    pub lookups: u64,
    pub matched: u64,
}

/// A command to change a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableMod {
    /// 255: all.
    pub table_id: u8,
    /// 1.1 and 1.2: what a miss does (0 to controller, 1 next table, 2 drop); 1.4 and later:
    /// 4 eviction, 8 vacancy events.
    pub config: u32,
}

/// A table's configuration (1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableDesc {
    pub table_id: u8,
    pub config: u32,
}

/// What a table can (1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFeatures {
    pub table_id: u8,
    /// 1.5: replace, modify, enable, disable; 0 before.
    pub command: u8,
    /// 1.5.
    pub features: u32,
    pub name: String,
    pub metadata_match: u64,
    pub metadata_write: u64,
    pub capabilities: u32,
    pub max_entries: u32,
    /// Type and content of each property.
    pub properties: Vec<(u16, Vec<u8>)>,
}
