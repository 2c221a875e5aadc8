//! How the rules of notifications fare: of the member that leads, which is the one that sends.

use super::page::Page;
use crate::context::Context;
use crate::notify::RuleStats;

pub(super) fn write(page: &mut Page, ctx: &Context) {
    if !ctx.member.status().is_leader {
        return;
    }
    let state = ctx.member.state();
    let rules: Vec<_> = state
        .notifications()
        .map(|(name, known)| (name, known, ctx.notifier.stats.of(name)))
        .collect();
    if rules.is_empty() {
        return;
    }
    let mut of_stats = |name: &str, kind, help, value: fn(&RuleStats) -> u64| {
        page.family(name, kind, help);
        for (rule, _, stats) in &rules {
            page.sample(name, &[("rule", rule)], value(stats));
        }
    };
    of_stats(
        "cfgstore_notifications_delivered_total",
        "counter",
        "Notifications that were taken.",
        |stats| stats.deliveries,
    );
    of_stats(
        "cfgstore_notifications_failed_total",
        "counter",
        "Attempts to deliver a notification that failed.",
        |stats| stats.failures,
    );
    of_stats(
        "cfgstore_notifications_in_trouble",
        "gauge",
        "Whether the last attempt has failed.",
        |stats| u64::from(stats.trouble.is_some()),
    );
    let name = "cfgstore_notifications_dead_letters";
    page.family(name, "gauge", "Notifications that were given up, and are kept.");
    for (rule, known, _) in &rules {
        page.sample(name, &[("rule", rule)], known.dead_letters.len());
    }
    let name = "cfgstore_notifications_lag_revisions";
    page.family(name, "gauge", "Revisions that have not been looked at.");
    for (rule, known, _) in &rules {
        page.sample(
            name,
            &[("rule", rule)],
            state.revision() - known.done_through_revision,
        );
    }
}
