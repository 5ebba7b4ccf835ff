//! Every (state, event) outcome of every machine.

use std::fmt::{Debug, Write};

use bond::lacp::{churn, mux, periodic, receive, transmit};
use bond::link;
use wire::Time;

mod common;
use common::ms;

/// One line for each pair.
fn table<S: Copy + Debug, I: Copy + Debug, O: Debug>(
    states: &[S],
    inputs: &[I],
    next: impl Fn(S, I) -> O,
) -> String {
    let mut out = String::new();
    for &state in states {
        for &input in inputs {
            writeln!(out, "{state:?} --{input:?}--> {:?}", next(state, input)).unwrap();
        }
        out.push('\n');
    }
    // Times in seconds read better.
    out.replace("000000000)", " s)").replace("Time(", "(")
}

const NOW: Time = Time::from_millis(100_000);

#[test]
fn link_every_transition_matches_snapshot() {
    let at = Time::from_millis(105_000);
    let since = Time::from_millis(90_000);
    let states = [
        link::Link::Down,
        link::Link::ComingUp { until: at },
        link::Link::Up { since },
        link::Link::GoingDown { until: at },
    ];
    let inputs = [
        link::Input::LinkUp { updelay: ms(30_000) },
        link::Input::LinkDown { downdelay: ms(20_000) },
        link::Input::Timeout,
        link::Input::Enable,
        link::Input::Disable,
    ];
    insta::assert_snapshot!(table(&states, &inputs, |s, i| s.next(NOW, i)));
}

#[test]
fn receive_every_transition_matches_snapshot() {
    let until = Time::from_millis(101_000);
    let states = [
        receive::Receive::Defaulted,
        receive::Receive::Expired { until },
        receive::Receive::Current { until },
    ];
    let inputs = [
        receive::Input::Lacpdu { timeout: ms(90_000) },
        receive::Input::Timeout,
        receive::Input::LinkChanged { active: true },
        receive::Input::LinkChanged { active: false },
        receive::Input::Reconfigured { speaking: true },
        receive::Input::Reconfigured { speaking: false },
    ];
    insta::assert_snapshot!(table(&states, &inputs, |s, i| s.next(NOW, i)));
}

#[test]
fn periodic_every_transition_matches_snapshot() {
    let until = Time::from_millis(101_000);
    let states = [
        periodic::Periodic::NoPeriodic,
        periodic::Periodic::PeriodicTx,
        periodic::Periodic::FastPeriodic { until },
        periodic::Periodic::SlowPeriodic { until },
    ];
    let inputs = [
        periodic::Input::Enabled,
        periodic::Input::Disabled,
        periodic::Input::Timeout,
        periodic::Input::Sent { short: true },
        periodic::Input::Sent { short: false },
    ];
    insta::assert_snapshot!(table(&states, &inputs, |s, i| s.next(NOW, i)));
}

#[test]
fn transmit_every_transition_matches_snapshot() {
    let until = Time::from_millis(101_000);
    let states = [transmit::Transmit::Idle, transmit::Transmit::Ntt { until }];
    let inputs =
        [transmit::Input::Due { from: NOW }, transmit::Input::NotDue, transmit::Input::Sent];
    insta::assert_snapshot!(table(&states, &inputs, |s: transmit::Transmit, i| s.next(i)));
}

#[test]
fn mux_every_transition_matches_snapshot() {
    let states = [
        mux::Mux::Detached,
        mux::Mux::Attached,
        mux::Mux::CollectingDistributing,
        mux::Mux::Collecting,
        mux::Mux::Distributing,
    ];
    let inputs = [
        mux::Input::Selected,
        mux::Input::Unselected,
        mux::Input::PartnerInSync,
        mux::Input::PartnerNotCollecting,
        mux::Input::PartnerCollecting,
        mux::Input::PartnerNotInSync,
    ];
    insta::assert_snapshot!(table(&states, &inputs, |s: mux::Mux, i| s.next(i)));
    let bits = |s: mux::Mux, negotiated| format!("{:#04x}", s.actor_bits(true, negotiated));
    insta::assert_snapshot!("mux_bits", table(&states, &[false, true], bits));
    let bits = |s: mux::Mux, negotiated| format!("{:#04x}", s.actor_bits(false, negotiated));
    insta::assert_snapshot!("mux_bits_independent", table(&states, &[false, true], bits));
}

#[test]
fn churn_every_transition_matches_snapshot() {
    let until = Time::from_millis(101_000);
    let states = [
        churn::Churn::Down,
        churn::Churn::Monitoring { until },
        churn::Churn::None,
        churn::Churn::Churned,
    ];
    let inputs = [
        churn::Input::LinkDown,
        churn::Input::InSync,
        churn::Input::OutOfSync,
        churn::Input::Timeout,
    ];
    insta::assert_snapshot!(table(&states, &inputs, |s: churn::Churn, i| s.next(NOW, i)));
}
