//! One rule's way along the history: what is sent, in which order, and what becomes of failures.

use std::time::Duration;

use cfgstore_notify::{Course, DeadLetter, Failure, Found, LOST, Policy, Progress, Step};
use proptest::prelude::*;

const SEC: Duration = Duration::from_secs(1);

fn failure(permanent: bool, retry_after: Option<Duration>) -> Result<(), Failure> {
    Err(Failure {
        reason: "target answered 500".into(),
        permanent,
        retry_after,
    })
}

/// A course whose first message is about to be sent.
fn at_first_message(policy: Policy) -> Course {
    let mut course = Course::new(policy, 10, Duration::ZERO);
    assert_eq!(course.step(Duration::ZERO), Step::Look { after: 10 });
    course.found(Found::Message { revision: 12 }, Duration::ZERO);
    course
}

fn wait(until: Option<Duration>, or_changes: bool) -> Step {
    Step::Wait { until, or_changes }
}

fn record(course: &Course, now: Duration) -> Progress {
    match course.step(now) {
        Step::Record(progress) => progress,
        step => panic!("{step:?}"),
    }
}

#[test]
fn what_was_delivered_is_recorded_once_nothing_follows() {
    let mut course = at_first_message(Policy::default());
    assert_eq!(course.step(SEC), Step::Send { revision: 12 });
    let now = Duration::from_millis(10);
    course.sent(Ok(()), now, 0.0);
    // Soon after the last record, and there may be more: that is looked at first.
    assert_eq!(course.step(now), Step::Look { after: 12 });
    let (through, is_newest) = (15, true);
    course.found(Found::Nothing { through, is_newest }, now);
    let progress = record(&course, now);
    assert_eq!((progress.done_through, progress.dead_letters.len()), (15, 0));
    course.recorded(&progress, now);
    assert_eq!(course.step(now), wait(None, true));
    course.changed();
    assert_eq!(course.step(now), Step::Look { after: 15 });
}

#[test]
fn under_load_it_is_recorded_from_time_to_time() {
    let mut course = at_first_message(Policy::default());
    let now = Duration::from_millis(100);
    course.sent(Ok(()), now, 0.0);
    let progress = record(&course, now);
    assert_eq!(progress.done_through, 12);
    course.not_recorded(now);
    // The cluster can't be told: nothing is sent meanwhile that would be sent again.
    assert_eq!(course.step(now), wait(Some(now + SEC), false));
    let progress = record(&course, now + SEC);
    course.recorded(&progress, now + SEC);
    assert_eq!(course.step(now + SEC), Step::Look { after: 12 });
}

#[test]
fn what_is_not_the_rules_is_recorded_seldom() {
    let mut course = Course::new(Policy::default(), 10, Duration::ZERO);
    let (through, is_newest) = (1000, true);
    course.found(Found::Nothing { through, is_newest }, SEC);
    assert_eq!(course.step(SEC), wait(Some(10 * SEC), true));
    assert_eq!(record(&course, 10 * SEC).done_through, 1000);
}

#[test]
fn pauses_double_up_to_a_bound_and_spread() {
    let mut course = at_first_message(Policy::default());
    let mut now = Duration::ZERO;
    let mut pauses = Vec::new();
    for _ in 0..12 {
        course.sent(failure(false, None), now, 1.0);
        assert_eq!(course.trouble(), Some("target answered 500"));
        let Step::Wait {
            until: Some(until), ..
        } = course.step(now)
        else {
            panic!("it does not wait");
        };
        pauses.push((until - now).as_secs());
        now = until;
        assert_eq!(course.step(now), Step::Send { revision: 12 });
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);

    let mut course = at_first_message(Policy::default());
    course.sent(failure(false, None), SEC, 0.0);
    assert_eq!(course.step(SEC), wait(Some(SEC + SEC / 2), false));
    course.sent(Ok(()), 2 * SEC, 0.0);
    assert_eq!(course.trouble(), None);
}

#[test]
fn a_target_may_ask_for_time_but_not_for_ever() {
    for (asked, given) in [(0, 1), (60, 60), (1_000_000, 3600)] {
        let mut course = at_first_message(Policy::default());
        course.sent(failure(false, Some(asked * SEC)), SEC, 1.0);
        assert_eq!(course.step(SEC), wait(Some(SEC + given * SEC), false));
    }
}

#[test]
fn what_is_refused_is_given_up_soon_and_what_fails_late() {
    for (permanent, attempts) in [(true, 5), (false, 300)] {
        let mut course = at_first_message(Policy::default());
        let mut now = Duration::ZERO;
        let mut made = 0;
        let letter = loop {
            match course.step(now) {
                Step::Send { revision: 12 } => {
                    made += 1;
                    course.sent(failure(permanent, None), now, 1.0);
                }
                Step::Wait {
                    until: Some(until), ..
                } => now = until,
                Step::Record(progress) => {
                    course.recorded(&progress, now);
                    break progress.dead_letters[0].clone();
                }
                step => panic!("{step:?}"),
            }
        };
        assert!(made == attempts || !permanent && made > 200, "{made}");
        assert_eq!((letter.from_revision, letter.to_revision), (12, 12));
        assert!(
            letter
                .reason
                .contains(&format!("{made} attempts: target answered 500"))
        );
        if !permanent {
            assert!(now >= Policy::default().give_up_after);
        }
        // On with what comes after.
        assert_eq!(course.step(now), Step::Look { after: 12 });
    }
}

#[test]
fn history_that_is_gone_is_a_dead_letter_and_the_rest_is_sent() {
    let mut course = Course::new(Policy::default(), 10, Duration::ZERO);
    course.found(Found::Lost { from: 12, to: 99 }, SEC);
    let progress = record(&course, SEC);
    assert_eq!(progress.done_through, 10);
    let letter = &progress.dead_letters[0];
    assert_eq!((letter.from_revision, letter.to_revision), (12, 99));
    assert_eq!(letter.reason, LOST);
    course.recorded(&progress, SEC);
    assert_eq!(course.step(SEC), Step::Look { after: 10 });
}

/// What the cluster knows, and what the target has got.
#[derive(Default)]
struct World {
    done_through: i64,
    dead_letters: Vec<DeadLetter>,
    arrived: Vec<i64>,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Delivered,
    /// It arrived, and nobody was told.
    DeliveredUnheard,
    Failed,
    Refused,
    /// The leader ends before it sends.
    Crash,
    /// The leader ends after it has sent, or after it has told the cluster.
    CrashAfter,
    /// The cluster can't be told.
    NotRecorded,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        6 => Just(Fate::Delivered),
        1 => Just(Fate::DeliveredUnheard),
        2 => Just(Fate::Failed),
        1 => Just(Fate::Refused),
        1 => Just(Fate::Crash),
        1 => Just(Fate::CrashAfter),
        1 => Just(Fate::NotRecorded),
    ];
    proptest::collection::vec(fate, 0..200)
}

/// Runs a rule over a history in which the revisions of `mine` are its own and the first `lost` are no longer kept, with these
/// fates, and then none but good ones, until nothing is left to do.
fn run(newest: i64, mine: &[i64], lost: i64, fates: Vec<Fate>, world: &mut World) {
    let policy = Policy {
        max_refusals: 2,
        ..Policy::default()
    };
    let mut fates = fates.into_iter();
    let mut now = Duration::ZERO;
    let mut course = Course::new(policy.clone(), world.done_through, now);
    loop {
        now += Duration::from_millis(30);
        match course.step(now) {
            Step::Wait { until: None, .. } => return,
            Step::Wait {
                until: Some(until), ..
            } => now = now.max(until),
            Step::Look { after } => {
                let known = |letter: &DeadLetter| letter.reason == LOST;
                let found = if after < lost && !world.dead_letters.iter().any(known) {
                    Found::Lost { from: 1, to: lost }
                } else {
                    match mine.iter().find(|&&revision| revision > after.max(lost)) {
                        Some(&revision) => Found::Message { revision },
                        None => Found::Nothing {
                            through: newest,
                            is_newest: true,
                        },
                    }
                };
                course.found(found, now);
            }
            Step::Send { revision } => match fates.next().unwrap_or(Fate::Delivered) {
                Fate::Delivered | Fate::NotRecorded => {
                    world.arrived.push(revision);
                    course.sent(Ok(()), now, 0.5);
                }
                Fate::DeliveredUnheard => {
                    world.arrived.push(revision);
                    course.sent(failure(false, None), now, 0.5);
                }
                Fate::Failed => course.sent(failure(false, None), now, 0.5),
                Fate::Refused => course.sent(failure(true, None), now, 0.5),
                Fate::Crash => course = Course::new(policy.clone(), world.done_through, now),
                Fate::CrashAfter => {
                    world.arrived.push(revision);
                    course = Course::new(policy.clone(), world.done_through, now);
                }
            },
            Step::Record(progress) => match fates.next().unwrap_or(Fate::Delivered) {
                Fate::NotRecorded => course.not_recorded(now),
                Fate::Crash => course = Course::new(policy.clone(), world.done_through, now),
                fate => {
                    assert!(progress.done_through >= world.done_through);
                    world.done_through = progress.done_through;
                    world.dead_letters.extend(progress.dead_letters.iter().cloned());
                    course.recorded(&progress, now);
                    if matches!(fate, Fate::CrashAfter) {
                        course = Course::new(policy.clone(), world.done_through, now);
                    }
                }
            },
        }
    }
}

proptest! {
    #[test]
    fn each_revision_arrives_in_order_or_is_a_dead_letter(
        mine in proptest::collection::btree_set(1_i64..60, 0..40),
        lost in 0_i64..20,
        fates in fates(),
    ) {
        let mine: Vec<i64> = mine.into_iter().collect();
        let mut world = World::default();
        run(60, &mine, lost, fates, &mut world);
        prop_assert_eq!(world.done_through, 60);

        let is_dead = |revision: i64| {
            let within = |letter: &DeadLetter| (letter.from_revision..=letter.to_revision).contains(&revision);
            world.dead_letters.iter().any(within)
        };
        let mut firsts: Vec<i64> = Vec::new();
        for &revision in &world.arrived {
            if !firsts.contains(&revision) {
                firsts.push(revision);
            }
        }
        prop_assert!(firsts.is_sorted(), "out of order: {:?}", firsts);
        for &revision in &mine {
            prop_assert!(firsts.contains(&revision) || is_dead(revision), "{} is missing", revision);
        }
        prop_assert!(firsts.iter().all(|revision| mine.contains(revision)));
    }
}

#[test]
fn an_hour_of_outage_loses_nothing_and_ends_with_the_next_attempt() {
    let end = 3600 * SEC;
    let made: Vec<i64> = (12..32).collect();
    let mut course = Course::new(Policy::default(), 10, Duration::ZERO);
    let mut now = Duration::ZERO;
    let mut told = Vec::new();
    let mut attempts = 0;
    loop {
        match course.step(now) {
            Step::Look { after } => {
                let next = made.iter().find(|&&revision| revision > after);
                let newest = Found::Nothing {
                    through: 31,
                    is_newest: true,
                };
                course.found(next.map_or(newest, |&revision| Found::Message { revision }), now);
            }
            Step::Send { revision } if now < end => {
                assert_eq!(revision, 12, "the next waits");
                attempts += 1;
                course.sent(failure(false, None), now, 1.0);
            }
            Step::Send { revision } => {
                told.push(revision);
                course.sent(Ok(()), now, 1.0);
            }
            Step::Record(progress) => {
                assert_eq!(progress.dead_letters, []);
                course.recorded(&progress, now);
            }
            Step::Wait { until: None, .. } => break,
            Step::Wait { until, .. } => now = until.unwrap(),
        }
    }
    assert_eq!(told, made);
    assert!(attempts < 30, "{attempts} attempts in vain");
    assert!(now <= end + 300 * SEC, "told {:?} late", now - end);
}
