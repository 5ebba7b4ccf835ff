//! The switch as it is configured: what the database wants, what is in force, and what has changed
//! since others last looked.

use std::cell::RefCell;

use config::{Desired, DummyPolicy, desired_after};
use datapath::PortNo;
use ovsdb_client::rows::Tables;

use super::notices;
use super::revision::Revision;
use crate::apply::{Deps, Switch};
use crate::commands::{Context, Dummy, View};
use crate::openflow_host::Hosts;
use crate::proc_files::ProcFiles;
use crate::status::Status;

/// The configured switch; see the module.
pub(super) struct Forwarding {
    pub(super) switch: Switch,
    /// What the links thread reports of interfaces and bonds.
    pub(super) status: Status,
    pub(super) desired: Desired,
    dummy: DummyPolicy,
    proc_files: ProcFiles,
    /// `flow-restore-wait` has been set since the start: nothing is forwarded, no controller is
    /// connected. Once it is not set this stays false.
    restoring: bool,
    /// Devices that came, went or changed so that `desired` must be applied again.
    devices: Revision,
    /// The revision of `devices` that is in force.
    devices_applied: Revision,
    /// Changes of ports that controllers are told about.
    ports: Revision,
    /// Changes of what the database shows.
    shown: Revision,
    /// Configurations that were read from the database: `cur_cfg` follows.
    configured: Revision,
}

impl Forwarding {
    /// Without bridges.
    pub(super) fn new(switch: Switch, dummy: DummyPolicy) -> Forwarding {
        Forwarding {
            switch,
            status: Status::default(),
            desired: Desired::default(),
            dummy,
            proc_files: ProcFiles::default(),
            restoring: true,
            devices: Revision::default(),
            devices_applied: Revision::default(),
            ports: Revision::default(),
            shown: Revision::default(),
            configured: Revision::default(),
        }
    }

    /// Flows are being restored.
    pub(super) fn is_restoring(&self) -> bool {
        self.restoring
    }

    /// The revision of ports.
    pub(super) fn ports(&self) -> Revision {
        self.ports
    }

    /// The revision of what the database shows, and of the configuration that it must say is in
    /// force.
    pub(super) fn revisions(&self) -> (Revision, Revision) {
        (self.shown, self.configured)
    }

    /// What the database shows has changed.
    pub(super) fn show_again(&mut self) {
        self.shown.bump();
    }

    /// Collects what other threads report. True if there was anything.
    pub(super) fn collect(&mut self, context: &Context) -> bool {
        let updates = context.links.outbox.take();
        let any = !updates.is_empty();
        if any {
            self.status.take(&updates);
            let mut devices = self.switch.devices_removed(&updates.removed);
            for (name, news) in &updates.links {
                devices |= self.switch.link_news(name, news);
            }
            if devices {
                self.devices.bump();
            }
            self.ports.bump();
            self.shown.bump();
        }
        if self.switch.dummies_changed() {
            self.devices.bump();
            self.ports.bump();
            self.shown.bump();
        }
        if self.switch.numbers_freed(&context.ofproto) {
            self.devices.bump();
        }
        any
    }

    /// Reads a configuration. True if the interval of statistics has changed.
    pub(super) fn read(&mut self, tables: &Tables, context: &Context) -> bool {
        let wanted = desired_after(tables, self.dummy, &self.desired);
        notices::log_new_warnings(&self.desired.warnings, &wanted.warnings);
        notices::log_new_complaints(&self.desired, &wanted);
        let interval = wanted.switch.stats_interval != self.desired.switch.stats_interval;
        if wanted.switch != self.desired.switch {
            context.revalidator.set_options(wanted.switch.revalidator());
        }
        if self.restoring && !wanted.switch.flow_restore_wait {
            self.restoring = false;
            context.ofproto.hold(false);
        }
        self.proc_files.set(wanted.bond_proc_dir.as_deref(), &context.links);
        self.desired = wanted;
        self.switch.set_database(tables.open_vswitch.keys().next().copied());
        self.configured.bump();
        self.shown.bump();
        interval
    }

    /// Devices have changed since [`Forwarding::apply`].
    pub(super) fn devices_changed(&self) -> bool {
        self.devices != self.devices_applied
    }

    /// Brings the configuration into force.
    pub(super) fn apply(&mut self, context: &Context) {
        self.devices_applied = self.devices;
        self.switch.apply(&self.desired, &parts(context));
        self.changed(context);
    }

    /// Gives up everything: another daemon runs this database's switch.
    pub(super) fn release(&mut self, context: &Context) {
        self.switch.release(&parts(context));
        self.desired = Desired::default();
    }

    /// Removes the devices that the switch has made, too.
    pub(super) fn clear(&mut self, context: &Context) {
        self.switch.clear(&parts(context));
    }

    /// `dpctl/del-if`: takes ports out of the datapath without a change of the configuration. The
    /// next configuration that is applied adds them again.
    pub(super) fn remove_ports(
        &mut self,
        ports: &[String],
        context: &Context,
    ) -> Result<(), String> {
        let mut errors = String::new();
        for port in ports {
            let number = port.parse().ok().map(PortNo);
            if !self.switch.detach_port(port, number, &self.desired, &parts(context)) {
                errors += &format!("ovs-vswitchd: no port named {port}\n");
            }
        }
        self.changed(context);
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// `dpif-dummy/change-port-number`: gives a port another number in the datapath.
    pub(super) fn renumber_port(
        &mut self,
        port: &str,
        to: PortNo,
        context: &Context,
    ) -> Result<(), &'static str> {
        self.switch.move_port(port, to, &self.desired, &parts(context))?;
        self.changed(context);
        Ok(())
    }

    /// Dummy devices are allowed.
    pub(super) fn has_dummies(&self) -> bool {
        self.dummy != DummyPolicy::Off
    }

    fn changed(&mut self, context: &Context) {
        *context.view.lock() = self.view();
        self.shown.bump();
    }

    /// Calls `f` with the switch as controllers reach it.
    pub(super) fn with_hosts<R>(
        &mut self,
        context: &Context,
        f: impl FnOnce(&Hosts<'_>) -> R,
    ) -> R {
        let hosts = Hosts {
            switch: &self.switch,
            ofproto: &context.ofproto,
            datapath: &*context.datapath,
            admin: RefCell::default(),
        };
        let result = f(&hosts);
        for (name, up) in hosts.admin.into_inner() {
            self.switch.set_admin(&name, up);
            self.ports.bump();
            self.shown.bump();
        }
        result
    }

    fn view(&self) -> View {
        let mut view = View { warnings: self.desired.warnings.clone(), ..View::default() };
        for (name, a) in &self.switch.attached {
            if let Some(port) = a.dummy.clone() {
                view.dummies.insert(name.clone(), Dummy { port, queues: a.queues });
            }
            if let Some(port_no) = a.port_no {
                let kind = a.kind.name().to_owned();
                view.ports.insert(port_no, (name.clone(), kind));
                view.bridges.entry(a.bridge.clone()).or_default().push(port_no);
            }
        }
        view
    }
}

fn parts(context: &Context) -> Deps<'_> {
    Deps {
        datapath: &context.datapath,
        links: &context.links,
        ofproto: &context.ofproto,
        now: context.clock.now(),
    }
}
