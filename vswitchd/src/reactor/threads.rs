//! The threads that forward packets, watch links and revalidate flows: how they are started, what
//! connects them, how they end.
//!
//! A panic in one of them ends the process (`runtime::panic`), so that none has to be watched here.

use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use connmgr::PacketQueue;
use datapath::Datapath;
use datapath::Userspace;
use mio::Waker;
use parking_lot::Mutex;

use super::{notices, packet_clock};
use crate::clock::Clock;
use crate::commands::{Cleared, Context, View};
use crate::compat;
use crate::compat::user_datapaths::UserDatapaths;
use crate::revalidator::{self, Queue};

/// The threads that end with the daemon. The packet thread is not among them: it forwards until the
/// process ends.
pub(super) struct Threads(Vec<JoinHandle<()>>);

/// What is started: the threads, the handles by which other code reaches them, and packets for
/// controllers.
pub(super) struct Started {
    pub(super) threads: Threads,
    pub(super) context: Context,
    pub(super) packets: Arc<PacketQueue>,
}

impl Threads {
    /// Starts the threads. `dummies`: dummy devices are allowed (`--enable-dummy`). `main` wakes the
    /// main thread.
    ///
    /// # Errors
    ///
    /// The system's, when it has no descriptor or thread left.
    pub(super) fn start(clock: &Clock, dummies: bool, main: &Arc<Waker>) -> io::Result<Started> {
        let ofproto = ofproto::Ofproto::new();
        // Forwarding starts when the database has said that no flows are restored.
        ofproto.hold(true);
        let time = Arc::new(packet_clock::PacketClock {
            clock: clock.clone(),
            participant: OnceLock::new(),
        });
        let (userspace, worker) = Userspace::new(ofproto.clone(), time.clone(), random_seed())?;
        // Fails only if it was set before.
        let _ = time.participant.set(clock.register(Arc::new(userspace.waker())));
        let datapath: Arc<dyn Datapath> = Arc::new(userspace);
        ofproto.attach(datapath.clone());
        // Weak: `ofproto` must not keep its datapath alive.
        let tables = Arc::downgrade(&datapath);
        let dpif = compat::dpif_name(dummies);
        ofproto.set_flow_watcher(Box::new(move |event, flow| {
            notices::log_flow(&tables, dpif, || datapath::Clock::now(&*time), event, flow);
        }));
        ofproto.set_reporter(Box::new(notices::log_report));
        std::thread::Builder::new().name("datapath1".to_owned()).spawn(move || {
            if dummies {
                compat::log_packets_as_main();
            }
            worker.run();
        })?;
        let queue = Queue::default();
        let revalidator =
            revalidator::spawn(queue.clone(), ofproto.clone(), datapath.clone(), clock.clone())?;
        let (links, handle) = links::spawn(links::Setup {
            clock: clock.clone(),
            datapath: datapath.clone(),
            ofproto: ofproto.clone(),
            revalidate: Box::new({
                let queue = queue.clone();
                move |reason| queue.push(reason)
            }),
            main: main.clone(),
            queries: Box::new(links::KernelQueries),
        })?;
        let packets = PacketQueue::new(main.clone());
        ofproto.set_packet_in_sink(packets.clone());
        let context = Context {
            clock: clock.clone(),
            links,
            ofproto,
            datapath,
            revalidator: queue,
            view: Arc::new(Mutex::new(View::default())),
            user_datapaths: UserDatapaths::new(dummies),
            cleared: Cleared::default(),
        };
        Ok(Started { threads: Threads(vec![handle, revalidator]), context, packets })
    }

    /// Ends the threads and waits for them.
    pub(super) fn stop(&mut self, context: &Context) {
        context.links.stop();
        context.revalidator.stop();
        for thread in self.0.drain(..) {
            // A panic in one would have ended the process.
            let _ = thread.join();
        }
    }
}

/// A seed that differs in each run, so that packets cannot be made to fall into one slot of the
/// caches.
pub(super) fn random_seed() -> u64 {
    posix::random()
}
