//! The way from this crate to the datapath, whose packets call back into it.

use std::sync::{Arc, OnceLock, Weak};

use datapath::{Datapath, Job};

/// A reference to the datapath that does not keep it alive: the datapath owns the [`Upcall`] side.
///
/// [`Upcall`]: datapath::Upcall
#[derive(Default)]
pub(crate) struct DatapathLink(OnceLock<Weak<dyn Datapath>>);

impl DatapathLink {
    /// Names the datapath. Only the first call has an effect.
    pub(crate) fn attach(&self, datapath: &Arc<dyn Datapath>) {
        let _ = self.0.set(Arc::downgrade(datapath));
    }

    /// The datapath; nothing before it is attached and after it is dropped.
    pub(crate) fn get(&self) -> Option<Arc<dyn Datapath>> {
        self.0.get()?.upgrade()
    }

    /// Runs `job` on a datapath thread, where MAC tables may be locked; in place while no datapath
    /// is attached. Once the datapath is dropped the job is dropped too, which a caller that waits
    /// for its answer sees as a closed channel.
    pub(crate) fn run(&self, job: Job) {
        match self.0.get().map(Weak::upgrade) {
            Some(Some(d)) => d.run(job),
            Some(None) => drop(job),
            None => job(),
        }
    }
}
