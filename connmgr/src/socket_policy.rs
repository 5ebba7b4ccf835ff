//! Which Unix sockets a row of the database may name.
//!
//! A client that can write the database, perhaps from another machine, must not make this daemon,
//! which may run as root, connect to arbitrary sockets or create them anywhere.

use ofproto::controller::ControllerConfig;
use runtime::log::RateLimit;

use crate::config::OpenFlowOptions;
use crate::modules::BRIDGE;

static RL: RateLimit = RateLimit::new(1, 5);

/// Whether a bridge may use a controller; if not, logs why.
pub(crate) fn allows(bridge: &str, c: &ControllerConfig, options: &OpenFlowOptions) -> bool {
    let (target, rundir) = (&c.target, options.rundir.display());
    if options.unconfined {
        return true;
    }
    if let Some(path) = target.strip_prefix("unix:") {
        let allowed = format!("{rundir}/");
        if path.contains('/') && after(path, &allowed).is_none() {
            runtime::err_rl!(
                BRIDGE,
                RL,
                "bridge {bridge}: Not connecting to socket controller \"{target}\" due to \
                 possibility for remote exploit.  Instead, specify socket in permitted directory \
                 \"unix:{allowed}\" or connect to \"unix:{rundir}/{bridge}.mgmt\" (which is \
                 always available without special configuration)."; "bridge" => bridge, "target" => target);
            return false;
        }
    } else if let Some(path) = target.strip_prefix("punix:") {
        let allowed = format!("{rundir}/{bridge}.");
        if after(path, &allowed).is_none_or(|rest| rest.contains('/')) {
            runtime::err_rl!(
                BRIDGE,
                RL,
                "bridge {bridge}: Not adding Unix domain socket controller \"{target}\" due to \
                 possibility of overwriting local files. Instead, specify path in permitted \
                 format \"punix:{allowed}*\" or connect to \"unix:{rundir}/{bridge}.mgmt\" \
                 (which is always available without special configuration)."; "bridge" => bridge, "target" => target);
            return false;
        }
    }
    true
}

/// The rest of `path` after `prefix`; consecutive slashes count as one.
fn after<'a>(mut path: &'a str, prefix: &str) -> Option<&'a str> {
    let mut prefix = prefix.chars().peekable();
    while let Some(c) = prefix.next() {
        path = path.strip_prefix(c)?;
        if c == '/' {
            path = path.trim_start_matches('/');
            while prefix.next_if_eq(&'/').is_some() {}
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use ofproto::controller::Timing;

    use super::*;

    fn allowed(target: &str) -> bool {
        let options = OpenFlowOptions {
            rundir: "/run/ovs".into(),
            version: String::new(),
            tls: tls::Settings::default(),
            unconfined: false,
            log_module: |_| None,
        };
        let c = ControllerConfig {
            target: target.to_owned(),
            primary: true,
            timing: Timing { max_backoff: std::time::Duration::from_secs(8), probe: None },
            probe: std::time::Duration::ZERO,
            in_band: false,
            async_messages: true,
            rate_limit: 0,
            burst_limit: 0,
            queue_size: 1,
            dscp: 0,
        };
        assert!(super::allows("br0", &c, &OpenFlowOptions { unconfined: true, ..options.clone() }));
        super::allows("br0", &c, &options)
    }

    #[test]
    fn unix_target_outside_run_directory_refused() {
        for target in [
            "tcp:127.0.0.1",
            "unix:name",
            "unix:/run/ovs/name",
            "unix://run///ovs/a/b",
            "punix:/run/ovs/br0.x",
            "punix://run/ovs//br0.",
        ] {
            assert!(allowed(target), "{target}");
        }
        for target in [
            "unix:/tmp/name",
            "unix:a/b",
            "unix:/run/ovsx/name",
            "punix:name",
            "punix:/run/ovs/br1.x",
            "punix:/run/ovs/br0",
            "punix:/run/ovs/br0.x/../../y",
            "punix:/tmp/br0.x",
        ] {
            assert!(!allowed(target), "{target}");
        }
    }
}
