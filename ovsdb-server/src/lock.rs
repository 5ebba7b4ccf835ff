//! Locks (RFC 7047, sections 4.1.8 to 4.1.10): names that one session owns and others wait for.

use std::collections::{BTreeMap, VecDeque};

use crate::server::SessionId;

/// How a session came to ask for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// `lock`: wait for it.
    Wait,
    /// `steal`: take it.
    Steal,
}

/// What a session has of a lock that it asked for and did not give back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// The lock.
    Owned,
    /// A place in the queue.
    Waiting,
    /// Nothing: it was stolen from a session that had stolen it.
    Lost,
}

/// The locks of a server.
#[derive(Debug, Default)]
pub struct Locks {
    /// For each lock its owner, followed by the sessions that wait.
    queues: BTreeMap<String, VecDeque<SessionId>>,
    /// The requests of each session, and how they were made.
    asked: BTreeMap<SessionId, BTreeMap<String, LockMode>>,
}

impl Locks {
    /// Asks for a lock. Gives the session it was stolen from, if it was; `None` if the session has
    /// asked for it before and not given it back.
    pub fn lock(
        &mut self,
        session: SessionId,
        name: &str,
        mode: LockMode,
    ) -> Option<Option<SessionId>> {
        let asked = self.asked.entry(session).or_default();
        if asked.contains_key(name) {
            return None;
        }
        asked.insert(name.to_owned(), mode);
        let queue = self.queues.entry(name.to_owned()).or_default();
        match mode {
            LockMode::Wait => {
                queue.push_back(session);
                Some(None)
            }
            LockMode::Steal => {
                let victim = queue.front().copied();
                if let Some(victim) = victim {
                    let how = self.asked.get(&victim).and_then(|asked| asked.get(name));
                    // One that waited for it gets it back some day, one that stole it does not.
                    if how == Some(&LockMode::Steal) {
                        queue.pop_front();
                    }
                }
                queue.push_front(session);
                Some(victim)
            }
        }
    }

    /// Gives a lock back. Gives the session that owns it now, if that changed; `None` if the
    /// session had not asked for it.
    pub fn unlock(&mut self, session: SessionId, name: &str) -> Option<Option<SessionId>> {
        let asked = self.asked.get_mut(&session)?;
        asked.remove(name)?;
        if asked.is_empty() {
            self.asked.remove(&session);
        }
        let Some(queue) = self.queues.get_mut(name) else { return Some(None) };
        let owned = queue.front() == Some(&session);
        queue.retain(|waiter| *waiter != session);
        let next = queue.front().copied();
        if next.is_none() {
            self.queues.remove(name);
        }
        Some(next.filter(|_| owned))
    }

    /// Gives back all locks of a session that ends. Gives the locks with the sessions that own them
    /// now.
    pub fn end(&mut self, session: SessionId) -> Vec<(String, SessionId)> {
        let names: Vec<String> =
            self.asked.get(&session).into_iter().flatten().map(|(name, _)| name.clone()).collect();
        let mut granted = Vec::new();
        for name in names {
            if let Some(Some(next)) = self.unlock(session, &name) {
                granted.push((name, next));
            }
        }
        granted
    }

    /// True if a session owns a lock.
    pub fn owns(&self, session: SessionId, name: &str) -> bool {
        self.queues.get(name).is_some_and(|queue| queue.front() == Some(&session))
    }

    /// The locks that a session asked for, with what it has of them.
    pub fn of(&self, session: SessionId) -> impl Iterator<Item = (&str, Holding)> {
        self.asked.get(&session).into_iter().flatten().map(move |(name, _)| {
            let queue = self.queues.get(name);
            let holding = match queue.and_then(|queue| queue.iter().position(|s| *s == session)) {
                Some(0) => Holding::Owned,
                Some(_) => Holding::Waiting,
                None => Holding::Lost,
            };
            (name.as_str(), holding)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SessionId = SessionId(1);
    const B: SessionId = SessionId(2);
    const C: SessionId = SessionId(3);

    #[test]
    fn first_session_owns_a_lock_and_others_queue() {
        let mut locks = Locks::default();
        for session in [A, B, C] {
            assert_eq!(locks.lock(session, "l", LockMode::Wait), Some(None));
        }
        assert_eq!(locks.lock(A, "l", LockMode::Wait), None);
        assert!(locks.owns(A, "l") && !locks.owns(B, "l") && !locks.owns(A, "m"));
        assert_eq!(locks.unlock(B, "l"), Some(None));
        assert_eq!(locks.unlock(A, "l"), Some(Some(C)));
        assert_eq!(locks.unlock(A, "l"), None);
        assert_eq!(locks.end(C), []);
        assert!(locks.queues.is_empty() && locks.asked.is_empty());
    }

    #[test]
    fn stolen_lock_returns_only_to_sessions_that_wait() {
        let mut locks = Locks::default();
        locks.lock(A, "l", LockMode::Wait);
        assert_eq!(locks.lock(B, "l", LockMode::Steal), Some(Some(A)));
        assert_eq!(locks.lock(C, "l", LockMode::Steal), Some(Some(B)));
        assert_eq!(locks.of(A).collect::<Vec<_>>(), [("l", Holding::Waiting)]);
        assert_eq!(locks.of(B).collect::<Vec<_>>(), [("l", Holding::Lost)]);
        assert_eq!(locks.end(C), [("l".to_owned(), A)]);
        assert!(locks.owns(A, "l"));
        assert_eq!(locks.unlock(B, "l"), Some(None));
    }
}
