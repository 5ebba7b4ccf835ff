//! The control side's state of one table, and its settings.

use openflow::msg::{TableDesc, TableMod, TableStatus, Vacancy, table_config};
use openflow::{Field, Subfield};

use super::classifier::DEFAULT_TRIES;
use super::rule::Rule;

/// Flows that a table takes unless its row says less; what controllers are told.
pub const MAX_FLOWS: u32 = 1_000_000;

/// How a table evicts (OpenFlow 1.4 clause 7.3.4.1): for reasons of its own, by importance and by
/// what is left of the time-out.
pub(super) const EVICTION_FLAGS: u32 = 7;

/// What a row of `Flow_Table` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSettings {
    /// Shown to controllers, who can set one where there is none.
    pub name: Option<String>,
    /// `flow_limit`: a full table takes no more flows, or evicts some.
    pub flow_limit: Option<u32>,
    /// `overflow_policy=evict`.
    pub evict: bool,
    /// `groups`: flows that differ in these belong to different groups, the largest of which
    /// loses one. Only with `evict`.
    pub groups: Vec<Subfield>,
    /// `prefixes`: addresses whose prefixes are looked up; at most four.
    pub prefixes: Vec<Field>,
}

impl Default for TableSettings {
    fn default() -> TableSettings {
        TableSettings {
            name: None,
            flow_limit: None,
            evict: false,
            groups: Vec::new(),
            prefixes: DEFAULT_TRIES.to_vec(),
        }
    }
}

/// Who gave a table its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum NamedBy {
    #[default]
    /// The table has no name.
    Unnamed,
    Controller,
    Row,
}

/// What the control side keeps of each table.
#[derive(Clone, Debug)]
pub(super) struct TableState {
    name: String,
    named_by: NamedBy,
    flow_limit: Option<u32>,
    evict_by_row: bool,
    evict_by_controller: bool,
    groups: Vec<Subfield>,
    prefixes: Vec<Field>,
    vacancy: Vacancy,
    /// The event that the next notice is about: vacancy down or up.
    vacancy_event: Option<VacancyEvent>,
    /// Rules that controllers do not see.
    pub(super) hidden: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum VacancyEvent {
    Down,
    Up,
}

impl VacancyEvent {
    /// The event that the notice after this one is about.
    fn other(self) -> VacancyEvent {
        match self {
            VacancyEvent::Down => VacancyEvent::Up,
            VacancyEvent::Up => VacancyEvent::Down,
        }
    }

    /// `OFPTR_VACANCY_DOWN` and `OFPTR_VACANCY_UP`.
    fn reason(self) -> u8 {
        match self {
            VacancyEvent::Down => 3,
            VacancyEvent::Up => 4,
        }
    }
}

impl Default for TableState {
    fn default() -> TableState {
        TableState {
            name: String::new(),
            named_by: NamedBy::Unnamed,
            flow_limit: None,
            evict_by_row: false,
            evict_by_controller: false,
            groups: Vec::new(),
            prefixes: DEFAULT_TRIES.to_vec(),
            vacancy: Vacancy::default(),
            vacancy_event: None,
            hidden: 0,
        }
    }
}

impl TableState {
    /// The name that controllers see; may be empty.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether a controller can give the table this name: not another than its row gives.
    pub(super) fn may_name(&self, name: &str) -> bool {
        self.named_by < NamedBy::Row || self.name.is_empty() || self.name == cut(name)
    }

    /// Takes a name from a controller, unless a row gave one.
    pub(super) fn set_name(&mut self, name: &str) {
        if self.named_by <= NamedBy::Controller {
            self.name = cut(name).to_owned();
            self.named_by = NamedBy::Controller;
        }
    }

    /// Takes the name from the table's row, if that has one.
    pub(super) fn configure_name(&mut self, name: Option<&str>) {
        match name {
            Some(name) => {
                self.name = cut(name).to_owned();
                self.named_by = NamedBy::Row;
            }
            None if self.named_by == NamedBy::Row => {
                self.name.clear();
                self.named_by = NamedBy::Unnamed;
            }
            None => {}
        }
    }

    /// Takes limit, eviction and prefixes from the table's row. True: the prefixes changed.
    pub(super) fn configure(&mut self, c: &TableSettings) -> bool {
        self.flow_limit = c.flow_limit;
        self.evict_by_row = c.evict;
        self.groups.clone_from(&c.groups);
        let changed = self.prefixes != c.prefixes;
        self.prefixes.clone_from(&c.prefixes);
        changed
    }

    /// Takes eviction and vacancy from a controller's table_mod of version 1.4 or later. `flows`:
    /// how many the table has.
    pub(super) fn table_mod(&mut self, m: &TableMod, flows: usize) {
        self.evict_by_controller = m.config & table_config::EVICTION != 0;
        if let Some(v) = m.vacancy {
            self.vacancy = Vacancy { now: 0, ..v };
        }
        if m.config & table_config::VACANCY_EVENTS == 0 {
            self.vacancy_event = None;
        } else if self.vacancy_event.is_none() {
            let filled = self.vacant(flows) < self.vacancy.up;
            self.vacancy_event = Some(if filled { VacancyEvent::Up } else { VacancyEvent::Down });
        }
    }

    /// The description that OpenFlow 1.4 and later have of table `table`, which has `flows` flows.
    pub(super) fn desc(&self, table: u8, flows: usize) -> TableDesc {
        let evict = if self.evict_by_controller { table_config::EVICTION } else { 0 };
        let vacancy = if self.vacancy_event.is_some() { table_config::VACANCY_EVENTS } else { 0 };
        TableDesc {
            table_id: table,
            config: evict | vacancy,
            eviction: Some(EVICTION_FLAGS),
            vacancy: Some(Vacancy { now: self.vacant(flows), ..self.vacancy }),
        }
    }

    /// The notice to send now that table `table` has `flows` flows, if one is due.
    pub(super) fn vacancy_status(&mut self, table: u8, flows: usize) -> Option<TableStatus> {
        let awaited = self.vacancy_event?;
        let now = self.vacant(flows);
        let due = match awaited {
            VacancyEvent::Down => now < self.vacancy.down,
            VacancyEvent::Up => now > self.vacancy.up,
        };
        if !due {
            return None;
        }
        let desc = self.desc(table, flows);
        self.vacancy_event = Some(awaited.other());
        Some(TableStatus { reason: awaited.reason(), desc })
    }

    /// How many flows the table takes, if that is limited.
    pub(super) fn flow_limit(&self) -> Option<u32> {
        self.flow_limit
    }

    /// Whether a full table evicts flows rather than refusing new ones.
    pub(super) fn evicts(&self) -> bool {
        self.evict_by_row || self.evict_by_controller
    }

    /// The values that put a rule into its eviction group; `None` for a field that it cannot have.
    pub(super) fn group(&self, rule: &Rule) -> Vec<Option<u128>> {
        if self.groups.is_empty() {
            return Vec::new();
        }
        let value = rule.matching().value;
        let of = |s: &Subfield| s.field.prereq_ok(&value).then(|| s.get(&value));
        self.groups.iter().map(of).collect()
    }

    /// What percentage of the table is free; all of it where there is no limit.
    fn vacant(&self, flows: usize) -> u8 {
        match self.flow_limit {
            None | Some(0) => 100,
            Some(limit) => {
                let left = u64::from(limit).saturating_sub(flows as u64);
                (left * 100 / u64::from(limit)) as u8
            }
        }
    }
}

/// A name as OpenFlow can carry it: in 32 octets, the last of which is 0.
fn cut(name: &str) -> &str {
    let mut end = name.len().min(31);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}
