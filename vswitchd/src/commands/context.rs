//! What commands are given and what they answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::datapath::{Datapath, DatapathStats};
use parking_lot::Mutex;
use serde_json::Value;
use wire::Time;

use super::view::View;
use crate::clock::Clock;
use crate::compat::user_datapaths::UserDatapaths;
use crate::revalidator::Queue;
use links::Links;

/// What commands work with. All of it can be used from the main thread at any time.
#[derive(Clone)]
pub struct Context {
    /// The daemon's clock.
    pub clock: Clock,
    /// The links thread.
    pub links: Links,
    /// Bridges and their flow tables.
    pub ofproto: Arc<ofproto::Ofproto>,
    /// The datapath.
    pub datapath: Arc<dyn Datapath>,
    /// The revalidator thread.
    pub revalidator: Queue,
    /// What main publishes.
    pub view: Arc<Mutex<View>>,
    /// Datapaths of `dpctl/add-dp`.
    pub user_datapaths: UserDatapaths,
    /// The packet thread's counters when they were last cleared.
    pub cleared: Cleared,
}

/// The packet thread's counters when they were last cleared, by datapath; without an entry they
/// count from the start.
#[derive(Clone, Default)]
pub struct Cleared(pub(super) Arc<Mutex<BTreeMap<String, (Time, DatapathStats)>>>);

impl Context {
    /// The names of the datapaths that exist: the daemon's own as soon as there is a bridge, and
    /// those of `dpctl/add-dp`.
    pub fn datapaths(&self) -> Vec<String> {
        let mut names = self.user_datapaths.names();
        names.extend(self.ofproto.dpif_show().into_iter().map(|d| d.name));
        names.sort();
        names
    }

    /// The same with a datapath of `dpctl/add-dp` in the place of the daemon's own; `None` if there
    /// is none of that name.
    pub fn with_user_datapath(&self, name: &str) -> Option<Context> {
        let found = self.user_datapaths.get(name)?;
        Some(Context { datapath: found.datapath, view: found.view, ..self.clone() })
    }
}

/// A call of a command.
pub struct Call<'a> {
    /// The arguments after the command's name.
    pub args: &'a [String],
    /// `--format json`: [`Answer::Json`] is wanted.
    pub json: bool,
}

impl Call<'_> {
    /// The argument at `at`; the first one is 0.
    pub fn arg(&self, at: usize) -> Option<&str> {
        self.args.get(at).map(String::as_str)
    }
}

/// A command's answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// For people.
    Text(String),
    /// For programs.
    Json(Value),
}

impl Answer {
    /// An answer that is text in every format.
    ///
    /// # Errors
    ///
    /// None.
    pub fn text(text: impl Into<String>) -> Result<Answer, String> {
        Ok(Answer::Text(text.into()))
    }
}

impl Call<'_> {
    /// A value in the format that is wanted.
    ///
    /// # Errors
    ///
    /// The value has no form in JSON.
    pub fn show<T: serde::Serialize>(
        &self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<Answer, String> {
        if self.json {
            serde_json::to_value(value).map(Answer::Json).map_err(|e| e.to_string())
        } else {
            Ok(Answer::Text(text(value)))
        }
    }
}
