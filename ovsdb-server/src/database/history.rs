//! The last transactions, for clients that come back and want only what they missed
//! (`monitor_cond_since`, `ovsdb-server(7)` section 4.1.15).

use std::collections::VecDeque;
use std::sync::Arc;

use crate::database::Commit;
use crate::rowid::RowId;

/// Most transactions remembered.
const MAX_COMMITS: usize = 100;
/// So many atoms are remembered however small the database is.
const FEW_ATOMS: usize = 4096;

/// The last transactions. Rows are shared with the tables, so this costs little more than what
/// changed.
#[derive(Debug, Default)]
pub struct History {
    commits: VecDeque<Arc<Commit>>,
    atoms: usize,
}

impl History {
    /// Remembers a transaction. Older ones are forgotten when they are many, or when a client would
    /// be better off with the whole database of `database_atoms` atoms.
    pub fn push(&mut self, commit: Arc<Commit>, database_atoms: usize) {
        self.atoms += commit.atoms;
        self.commits.push_back(commit);
        while self.commits.len() > MAX_COMMITS
            || (self.commits.len() > 1 && self.atoms > database_atoms.max(FEW_ATOMS))
        {
            if let Some(oldest) = self.commits.pop_front() {
                self.atoms -= oldest.atoms;
            }
        }
    }

    /// The identifier of the last transaction; all zeros before the first one.
    pub fn last_id(&self) -> RowId {
        self.commits.back().map_or(RowId::ZERO, |commit| commit.id)
    }

    /// The transactions after the one with this identifier, if it is still known.
    pub fn since(&self, id: RowId) -> Option<impl Iterator<Item = &Arc<Commit>>> {
        let at = self.commits.iter().position(|commit| commit.id == id)?;
        Some(self.commits.iter().skip(at + 1))
    }

    /// Transactions and atoms remembered.
    pub fn size(&self) -> (usize, usize) {
        (self.commits.len(), self.atoms)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = History::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_finds_what_came_after() {
        let mut history = History::default();
        assert_eq!(history.last_id(), RowId::ZERO);
        let ids: Vec<RowId> = {
            let mut ids = crate::rowid::RowIds::seeded(1);
            (0..200).map(|_| ids.draw()).collect()
        };
        for id in &ids {
            history.push(Arc::new(Commit { id: *id, changes: Vec::new(), atoms: 1 }), 1000);
        }
        assert_eq!(history.size(), (MAX_COMMITS, MAX_COMMITS));
        assert_eq!(history.last_id(), ids[199]);
        assert!(history.since(ids[99]).is_none());
        assert_eq!(history.since(ids[197]).unwrap().count(), 2);
        assert_eq!(history.since(ids[199]).unwrap().count(), 0);
        // A transaction larger than the database leaves only itself.
        history.push(Arc::new(Commit { id: ids[0], changes: Vec::new(), atoms: 50_000 }), 1000);
        assert_eq!(history.size(), (1, 50_000));
    }
}
