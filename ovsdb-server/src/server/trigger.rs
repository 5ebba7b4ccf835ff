//! Transactions, and those of them that wait for something to come true.

use std::mem;
use std::sync::Arc;

use crate::database::{Attempt, Commit, TxnContext, TxnOutcome, TxnReply};
use crate::json::Json;
use crate::server::background::{LongTransaction, is_costly};
use crate::server::session::{Chunk, Item, reply};
use crate::server::{MANY_CHANGES, drop_on_thread};
use crate::server::{Now, Server, SessionId};

/// A transaction that waits.
#[derive(Debug)]
pub(super) struct Trigger {
    pub(super) session: SessionId,
    /// The request's identifier, as JSON.
    pub(super) id: String,
    /// The request's parameters, as JSON.
    pub(super) params: Arc<str>,
    pub(super) created_ms: u64,
    timeout_ms: Option<u64>,
}

impl Trigger {
    /// When its time is over.
    pub(super) fn deadline(&self) -> Option<u64> {
        self.timeout_ms.map(|timeout| self.created_ms.saturating_add(timeout))
    }
}

/// Most transactions of a session that may wait at once.
pub(super) const MAX_WAITING: usize = 1024;

impl Server {
    /// Runs a `transact` request: `params` is both the text and what it says.
    pub(super) fn transact(
        &mut self,
        session: SessionId,
        name: &str,
        id: &str,
        (text, params): (&str, &Json<'_>),
        now: Now,
    ) {
        let long = || LongTransaction::new(session, id, text.into(), now.mono_ms);
        let Some(hosted) = self.databases.get(name) else { return };
        if self.long_bytes != usize::MAX && is_costly(params, &hosted.database) {
            self.queue_in_background(name, long(), now);
            return;
        }
        let running = hosted.background.is_running();
        match self.try_transact(session, name, params, now.mono_ms, now) {
            None => {}
            // It may change what the one that runs has read.
            Some(Attempt::Ready(_)) if running => self.queue_in_background(name, long(), now),
            Some(attempt) => {
                self.conclude(name, &long(), attempt);
            }
        }
    }

    fn runs_in_background(&self, name: &str) -> bool {
        self.databases.get(name).is_some_and(|hosted| hosted.background.is_running())
    }

    /// Commits and answers what was tried, or lets it wait; true if it was committed.
    pub(super) fn conclude(
        &mut self,
        name: &str,
        long: &LongTransaction,
        attempt: Attempt,
    ) -> bool {
        let Some(hosted) = self.databases.get_mut(name) else { return false };
        match hosted.database.conclude(attempt) {
            TxnOutcome::Reply(reply) => {
                let committed = reply.commit.is_some();
                self.transacted(long.session, name, &long.id, reply);
                return committed;
            }
            TxnOutcome::Blocked { timeout_ms } if self.sessions.contains_key(&long.session) => {
                hosted.triggers.push(Trigger {
                    session: long.session,
                    id: long.id.clone(),
                    params: Arc::clone(&long.params),
                    created_ms: long.created_ms,
                    timeout_ms,
                });
            }
            TxnOutcome::Blocked { .. } => {}
        }
        false
    }

    /// How many transactions of a session wait, and whether one of them has this identifier.
    pub(super) fn waiting(&self, session: SessionId, id: &str) -> (usize, bool) {
        let triggers = self.databases.values().flat_map(|hosted| &hosted.triggers);
        let own = triggers.filter(|trigger| trigger.session == session);
        own.fold((0, false), |(n, same), trigger| (n + 1, same || trigger.id == id))
    }

    pub(super) fn try_transact(
        &mut self,
        session: SessionId,
        name: &str,
        params: &Json<'_>,
        created_ms: u64,
        now: Now,
    ) -> Option<Attempt> {
        let hosted = self.databases.get_mut(name)?;
        let read_only = self.sessions.get(&session).is_some_and(|known| known.options.read_only);
        let operations = params.as_array().and_then(|params| params.get(1..)).unwrap_or_default();
        let locks = &self.locks;
        let context = TxnContext {
            read_only,
            internal: false,
            created_ms,
            now,
            owns_lock: &|lock| locks.owns(session, lock),
        };
        Some(hosted.database.attempt(operations, &context))
    }

    /// Lets monitors and waiting transactions know of a commit.
    pub(super) fn committed(&mut self, name: &str, commit: &Arc<Commit>) {
        self.log_rows(name, commit);
        let Some(hosted) = self.databases.get_mut(name) else { return };
        hosted.retry = !hosted.triggers.is_empty();
        for monitor in hosted.monitors.commit(commit) {
            self.ready.extend(hosted.owners.get(&monitor));
        }
    }

    /// Queues the updates of a transaction for monitors, and answers it.
    fn transacted(&mut self, session: SessionId, name: &str, id: &str, outcome: TxnReply) {
        let TxnReply { results, commit, durable, unwritten } = outcome;
        if let Some(error) = unwritten {
            self.frequent_warning(format!("{name}: transaction refused: {error}"));
        }
        if let Some(commit) = commit {
            self.committed(name, &commit);
            if commit.changes.len() > MANY_CHANGES {
                drop_on_thread(commit);
            }
        }
        // The updates go before its answer.
        self.flush_monitors(session);
        let item = if durable {
            self.unsynced.insert(name.to_owned());
            Item::Durable { database: name.to_owned(), id: id.to_owned(), results }
        } else {
            Item::Bytes(Chunk::Own(reply(id, results)))
        };
        self.send(session, item);
    }

    /// Tries waiting transactions again: those of databases that changed, and those whose time is
    /// over.
    pub(super) fn retry_triggers(&mut self, now: Now, timeouts: bool) {
        let due = |trigger: &Trigger| {
            timeouts && trigger.deadline().is_some_and(|deadline| deadline <= now.mono_ms)
        };
        let names: Vec<String> = self
            .databases
            .iter()
            .filter(|(_, hosted)| !hosted.background.is_running())
            .filter(|(_, hosted)| hosted.retry || hosted.triggers.iter().any(due))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            // Each round in which one commits takes that one away, so this comes to an end.
            while let Some(hosted) = self.databases.get_mut(&name) {
                let changed = mem::take(&mut hosted.retry);
                let waiting = mem::take(&mut hosted.triggers);
                let mut rest = Vec::new();
                for mut trigger in waiting {
                    if !changed && !due(&trigger) {
                        rest.push(trigger);
                        continue;
                    }
                    if trigger.params.len() >= self.long_bytes {
                        let long = LongTransaction::again(&trigger);
                        self.queue_in_background(&name, long, now);
                        continue;
                    }
                    // It was parsed when it came.
                    let Ok(params) = Json::parse(&trigger.params) else { continue };
                    let created = trigger.created_ms;
                    match self.try_transact(trigger.session, &name, &params, created, now) {
                        None => {}
                        Some(Attempt::Blocked { timeout_ms }) => {
                            trigger.timeout_ms = timeout_ms;
                            rest.push(trigger);
                        }
                        Some(Attempt::Ready(_)) if self.runs_in_background(&name) => {
                            self.queue_in_background(&name, LongTransaction::again(&trigger), now);
                        }
                        Some(attempt) => {
                            let committed =
                                self.conclude(&name, &LongTransaction::again(&trigger), attempt);
                            if committed && let Some(hosted) = self.databases.get_mut(&name) {
                                hosted.retry = true;
                            }
                        }
                    }
                }
                let Some(hosted) = self.databases.get_mut(&name) else { break };
                rest.append(&mut hosted.triggers);
                hosted.triggers = rest;
                if hosted.triggers.is_empty() {
                    hosted.retry = false;
                }
                if !hosted.retry {
                    break;
                }
            }
        }
    }

    /// Gives up waiting transactions for which `which` holds: each is answered `canceled`.
    pub(super) fn cancel_triggers(&mut self, which: impl Fn(&str, &Trigger) -> bool) {
        let mut canceled = Vec::new();
        for (name, hosted) in &mut self.databases {
            hosted.triggers.retain(|trigger| {
                let gone = which(name, trigger);
                if gone {
                    canceled.push((trigger.session, trigger.id.clone()));
                }
                !gone
            });
        }
        for (session, id) in canceled {
            let answer = format!("{{\"error\":\"canceled\",\"id\":{id},\"result\":null}}");
            self.send(session, Item::Bytes(Chunk::Own(answer.into_bytes())));
        }
    }
}
